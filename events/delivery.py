"""Bring events to their targets: in order, one process at a time, again and again until they are taken."""

from __future__ import annotations

import hashlib
import logging
import random
import re
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import events
from db import events as outbox
from db.session import advisory_lock
from errors import Busy
from events import signature
from events.topic import produce

if TYPE_CHECKING:
    import httpx

    from settings import Settings

ANSWER_SECONDS = 5.0
"""For a target to take one event."""
LONGEST_PAUSE = 600.0
FINAL = frozenset((400, 410, 413, 415, 422))
"""Answers by which a target refuses an event for good; with 401 or 404, say, it may be set up wrongly."""
TOPIC = "kafka:"
"""What a target begins with that is a topic of MODELYARD_KAFKA."""
_LOCK = "events"
_PAUSE = 0.1

logger = logging.getLogger("modelyard")


class Problem(NamedTuple):
    """Why a target has not taken an event."""

    reason: str
    final: bool = False
    """Whether it will never take it."""
    asked: float = 0.0
    """Seconds that it asks to wait."""


def name(number: int, target: str) -> str:
    """What may be said of a target: its place in MODELYARD_EVENTS and its kind, `2 (https)`."""
    found = re.match(r"[a-z][a-z0-9+.-]{0,20}(?=:)", target)
    return f"{number + 1} ({found[0] if found else '?'})"


def digest(target: str) -> str:
    """What the database knows a target by."""
    return hashlib.sha256(target.encode()).hexdigest()[:32]


def sweep(settings: Settings, url: str, seconds: float) -> None:
    """Bring what is due, or will be within so many seconds, to all targets at once."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with advisory_lock(url, _LOCK):
                _sweep(settings, url, deadline)
                return
        except Busy:
            # Whoever is at it may have looked before the event was noted that this sweep is for.
            if time.monotonic() > deadline:
                return
            time.sleep(_PAUSE)


def _sweep(settings: Settings, url: str, deadline: float) -> None:
    made = signature.keys(settings.events_key.get_secret_value()) if settings.events_key else []
    # Daemons: one that hangs on does not keep the process.
    threads = [
        threading.Thread(target=_bring_all, args=(settings, url, number, target, made, deadline), daemon=True)
        for number, target in enumerate(events.targets(settings))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline + ANSWER_SECONDS - time.monotonic()))
    outbox.forget(url)


def _bring_all(
    settings: Settings, url: str, number: int, target: str, made: list[bytes], deadline: float
) -> None:
    try:
        while left := outbox.waiting(url, digest(target)):
            waiting = left[0]
            # However little time there is, what is due is tried once.
            if waiting.seconds > 0 and time.monotonic() + waiting.seconds >= deadline:
                return
            # A later one would overtake it.
            time.sleep(max(0.0, waiting.seconds))
            problem = _bring(settings, target, waiting.event, made)
            again = None if problem is None or problem.final else _pause(waiting.attempts, problem.asked)
            outbox.tried(url, waiting.event.number, digest(target), problem and problem.reason, again)
            if problem is not None:
                said = "refuses" if problem.final else "has not taken"
                about = (name(number, target), said, waiting.event.type, waiting.event.id, problem.reason)
                logger.warning("Target %s of events %s %s %s: %s", *about)
            if time.monotonic() >= deadline:
                return
    except Exception as error:  # noqa: BLE001 - of the database, which may be away; the events wait there
        logger.warning("Events for target %s wait: %s", name(number, target), type(error).__name__)


def _pause(attempts: int, asked: float) -> float:
    """Seconds until the next attempt: twice as long each time, and not at the same moment as others."""
    return max(min(asked, 3600.0), min(LONGEST_PAUSE, 2.0 ** min(attempts, 20)) * random.uniform(0.5, 1.0))  # noqa: S311


def message(event: outbox.Event) -> tuple[dict[str, str], bytes]:
    """Headers and body of a CloudEvent in structured mode: attributes are in the body, so they are signed."""
    from cloudevents.core.bindings.http import to_structured
    from cloudevents.core.formats.json import JSONFormat
    from cloudevents.core.v1.event import CloudEvent

    attributes = {
        "id": event.id,
        "type": event.type,
        "source": event.source,
        "subject": event.subject,
        "time": event.at,
        "datacontenttype": "application/json",
    }
    made = to_structured(CloudEvent(attributes, dict(event.data)), JSONFormat())
    return made.headers, made.body


def _bring(settings: Settings, target: str, event: outbox.Event, made: list[bytes]) -> Problem | None:
    headers, body = message(event)
    if made:
        headers |= signature.headers(made, event.id, body, int(time.time()))
    if target.startswith(TOPIC):
        topic = target.removeprefix(TOPIC)
        reason = produce(settings, topic, event.subject, headers, body, ANSWER_SECONDS)
        return None if reason is None else Problem(reason)
    return _post(target, headers | {"user-agent": "modelyard"}, body)


def _post(target: str, headers: dict[str, str], body: bytes) -> Problem | None:
    import httpx

    try:
        # What it says beyond its status is of no interest, and may have no end.
        with httpx.stream("POST", target, content=body, headers=headers, timeout=ANSWER_SECONDS) as response:
            return _problem(response)
    except httpx.TimeoutException:
        return Problem(f"did not answer within {ANSWER_SECONDS:.0f} s")
    except httpx.ConnectError as error:
        return Problem(f"cannot be reached: {error}")
    except httpx.HTTPError as error:
        return Problem(f"cannot be reached: {type(error).__name__}")


def _problem(response: httpx.Response) -> Problem | None:
    if response.is_success:
        return None
    status, asked = response.status_code, response.headers.get("retry-after", "")
    return Problem(f"answered {status}", status in FINAL, float(asked) if asked.isdecimal() else 0.0)
