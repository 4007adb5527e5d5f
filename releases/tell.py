"""Tell people of a release."""

from __future__ import annotations

from typing import TYPE_CHECKING

import events
from alerts import Alert, send
from db import releases as record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from releases.outcome import Outcome
    from settings import Settings


def tell(
    settings: Settings, use_case: str, outcome: Outcome, why: str, links: Mapping[str, str] | None = None
) -> None:
    """Tell people and other systems what came of a release, unless it changed nothing."""
    events.deliver(settings)
    version, number = f"{use_case} version {outcome.model_version}", outcome.release
    if outcome.withdrawn:
        kind, title = "rollback", f"The canary of {version} was withdrawn (release {number})"
        sentence = f"{outcome.withdrawn.rstrip('.')}. What served before serves all requests."
    elif not outcome.changed:
        return
    elif why == record.ROLLBACK:
        kind, title = "rollback", f"{version} serves again (release {number})"
        sentence = f"Version {outcome.before} was taken back."
    else:
        kind, title = "release", f"{version} serves (release {number})"
        before = f"in place of version {outcome.before}" if outcome.before else "where nothing served before"
        sentence = f"It was released {before}: {why}."
    if outcome.stream_trouble:
        sentence += f" The stream {outcome.stream} did not follow: {outcome.stream_trouble.splitlines()[0]}"
    send(
        settings,
        Alert(
            kind,  # type: ignore[arg-type]
            use_case,
            title,
            sentence,
            {**(links or {}), "endpoint": outcome.address},
        ),
    )
