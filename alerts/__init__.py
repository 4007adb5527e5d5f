"""Tell people what happened, by mail, chat or webhook: `send(settings, Alert(…))`, and go on.

Nothing that goes wrong here stops whoever sends: it is logged, and counted in the table `alerts`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from settings import Settings

Kind = Literal["gate failed", "drift", "release", "rollback", "loop failing", "data late", "test"]

QUIET = timedelta(hours=24)
"""So long the same is not told again."""

logger = logging.getLogger("modelyard")


@dataclass(frozen=True)
class Alert:
    """What happened, for a person."""

    kind: Kind
    use_case: str
    title: str
    """A few words. Of one kind and use case, what has the same title is the same: of a state that lasts it
    stays, of an event it has the event's number in it."""
    sentence: str
    """What is the matter and what to do, if anything."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Name, such as `run` or `report` → URL or path."""


class Told(NamedTuple):
    """What came of one target."""

    target: str
    """Its place in MODELYARD_ALERTS and its kind, `2 (mailtos)`: no more, since all else may be secret."""
    problem: str | None
    """Why it has not taken the alert; None when it has."""


def targets(settings: Settings) -> list[str]:
    """The URLs of MODELYARD_ALERTS."""
    return settings.alerts.get_secret_value().split() if settings.alerts else []


def send(settings: Settings, alert: Alert) -> list[Told]:
    """Tell all targets of MODELYARD_ALERTS at once, within seconds; raises nothing.

    Nothing is sent, and the answer is empty, when there are none, or when a target took the same alert within
    `QUIET`; an alert that none has taken is sent again the next time that it happens. Two processes that tell
    the same at one moment both tell it.
    """
    told_to = targets(settings)
    if not told_to:
        return []
    try:
        from alerts.delivery import deliver
        from db.databases import migrated

        # Where there is none everything is told: rather twice than not at all.
        url = migrated(settings)
        if url is not None and _is_old(url, alert):
            return []
        told = deliver(told_to, alert)
        for target, problem in told:
            if problem is not None:
                logger.warning("Target %s of alerts %s; not told: %s", target, problem, alert.title)
        if url is not None:
            _note(url, alert, told)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not stop what it tells of
        # Not its text: it may have an address in it.
        logger.warning("The alert %r was not sent: %s", alert.title, type(error).__name__)
        return []
    return told


def _is_old(url: str, alert: Alert) -> bool:
    from db import alerts as record

    return record.was_taken(url, alert.kind, alert.use_case, alert.title, QUIET)


def _note(url: str, alert: Alert, told: list[Told]) -> None:
    from db import alerts as record

    taken = sum(problem is None for _, problem in told)
    record.note(
        url,
        kind=alert.kind,
        use_case=alert.use_case,
        title=alert.title,
        sentence=alert.sentence,
        taken=taken,
        failed=len(told) - taken,
    )
