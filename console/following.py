"""`replay --follow`: a model version shadows what serves.

It reads what endpoints have logged soon after they answered. So live requests are answered a second time,
by a version that has no traffic yet, and no endpoint knows of it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from console.monitoring import moment
from console.replay import Candidate, answered, answering, beside, compiled, distances, drawn, scores, valid
from console.session import open_session
from console.watching import seconds, take_signals
from errors import DatabaseError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from console.progress import Progress
    from monitoring.log import Log
    from monitoring.window import Window
    from settings import Settings
    from usecases.base import Array, UseCase

Document = dict[str, Any]

EVERY = "10s"
CATCH_UP_SECONDS = 15.0
"""So long after an outage endpoints may still wait before they ship what they answered in it."""
RETRY_SECONDS = 10.0
"""Between two tries of a log that does not answer, at most."""


@dataclass
class Followed:
    """What came of it so far; it does not grow with time."""

    since: datetime
    until: datetime
    requests: int = 0
    outcomes: int = 0
    known: Array = field(default_factory=lambda: np.empty((0, 4)))
    """Of each outcome in a fair sample its lot, what came true, the candidate's answer, and the one given."""
    chance: np.random.Generator = field(default_factory=lambda: np.random.default_rng(42))


def follow(
    settings: Settings,
    stack: str,
    progress: Progress,
    use_case: str,
    version: str,
    since: str | None,
    every: str,
    say: Callable[[Document], None],
) -> Document:
    """`say` of each round what it saw, until Ctrl-C or SIGTERM; then all of it, as `replay` has it.

    Raises:
        UsageError: there is no such use case or interval, or `since` is no moment that was.
        TrackingError: there is no such version.
        ReleaseError: the version cannot be compiled.
        DatabaseError: the log does not answer when it begins, or when all of it is asked for.
    """
    import usecases
    from monitoring.window import SETTLE_SECONDS

    interval = seconds(every)
    case = usecases.load(use_case)
    now = datetime.now(UTC)
    begin = moment(since) if since else now
    if begin > now:
        raise UsageError(f"--since is a moment that was, or left out to begin now; {since} is still to come.")
    open_session(settings, stack, progress)
    from monitoring import log as logs

    log = logs.here()
    followed = Followed(begin, begin)
    with compiled(case, version, progress) as candidate:
        take_signals()
        began = time.monotonic()
        try:
            progress.console.print(f"Following {use_case} by version {candidate.version}; Ctrl-C ends it.")
            first = begin + timedelta(seconds=SETTLE_SECONDS + interval) - datetime.now(UTC)
            time.sleep(max(0.0, first.total_seconds()))
            rounds(case, log, candidate, followed, interval, say)
        except KeyboardInterrupt:
            # The way to end it.
            progress.finish("follow", seconds=time.monotonic() - began)
            return over(case, log, followed, candidate, progress)


def rounds(
    case: UseCase,
    log: Log,
    candidate: Candidate,
    followed: Followed,
    interval: float,
    say: Callable[[Document], None],
) -> NoReturn:
    """Look at what came since the last round, again and again."""
    from sqlalchemy.exc import DBAPIError

    away = False
    while True:
        try:
            window = _next(log, case, followed, away=away)
            said = look(case, log, window, candidate, followed)
        except (DatabaseError, UsageError, DBAPIError) as error:
            if not away:
                say({"at": _now(), "waits": f"{error}".splitlines()[0]})
            away = True
            time.sleep(min(interval, RETRY_SECONDS))
            continue
        away = False
        say(said)
        time.sleep(interval)


def look(case: UseCase, log: Log, window: Window, candidate: Candidate, followed: Followed) -> Document:
    """What came in a window, noted as followed when all of it was read: a round that breaks is done again."""
    from monitoring.replay import apart, fair, speeds
    from monitoring.window import SAMPLE, frame

    asked = drawn(log, window, known=False)
    old = frame(case, asked, known=False).rows
    outcomes = frame(case, drawn(log, window, known=True), known=True)
    said: Document = {
        "at": _now(),
        "since": window.since.isoformat(),
        "until": window.until.isoformat(),
        "requests": sum(window.rows.values()),
        "answers": None,
        "microseconds": None,
    }
    if len(old):
        said["answers"] = apart(*answered(case, candidate, old), parity=case.parity).model_dump()
        (speed,) = speeds([answering(case, candidate.model)], valid(case, asked))
        said["microseconds"] = speed.median
    known = followed.known
    came = sum(window.outcomes.values())
    if len(outcomes.rows):
        given, own = answered(case, candidate, outcomes.rows)
        rows = np.column_stack([outcomes.rows[case.target], own, given])
        share = min(1.0, (len(rows) + outcomes.unreadable) / came)
        known = fair(known, rows, share, followed.chance, SAMPLE)
    followed.until, followed.known = window.until, known
    followed.requests += said["requests"]
    followed.outcomes += came
    error = scores(case, *known[:, 1:].T) if len(known) else None
    return said | {"followed": {"requests": followed.requests, "outcomes": followed.outcomes}, "error": error}


def over(case: UseCase, log: Log, followed: Followed, candidate: Candidate, progress: Progress) -> Document:
    """All that was followed, read anew: with what reached the log late, and outcomes as they are by now.

    Raises:
        DatabaseError: the log does not answer; the message has the command that asks it again.
    """
    from sqlalchemy.exc import DBAPIError

    from monitoring.window import Window

    window = Window(use_case=case.name, since=followed.since, until=followed.since, rows={}, outcomes={})
    try:
        if followed.until > followed.since:
            window = log.pending(case.name, followed.since).window or window
        return beside(case, log, window, candidate, progress)
    except (DatabaseError, DBAPIError) as error:
        since = f"{followed.since.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"
        raise DatabaseError(
            f"The log does not answer: {error}\nOnce it does, this reads all that was followed: "
            f"python run.py replay {case.name} --version {candidate.version} --since {since}"
        ) from error


def line(said: Mapping[str, Any]) -> str:
    """A round for a person."""
    at = f"{datetime.fromisoformat(said['at']):%Y-%m-%d %H:%M:%S}"
    if "waits" in said:
        return f"{at} the log does not answer, and is asked again until it does: {said['waits']}"
    words = [f"{at} {said['requests']:,} requests ({said['followed']['requests']:,} so far)"]
    if said["answers"]:
        words.append(distances(said["answers"]))
        words.append(f"{said['microseconds']:.0f} µs")
    error = said["error"]
    if error and error["candidate"] is not None:
        words.append(
            f"{error['metric']} {error['candidate']:.4g} beside {error['answered']:.4g} "
            f"on {error['rows']:,} outcomes so far"
        )
    return " | ".join(words)


def _next(log: Log, case: UseCase, followed: Followed, *, away: bool) -> Window:
    """What came since the last round."""
    pending = log.pending(case.name, followed.until)
    if away:
        # It answers again.
        time.sleep(CATCH_UP_SECONDS)
        pending = log.pending(case.name, followed.until)
    if pending.window is None:
        raise DatabaseError(f"Of {case.name} nothing is told since {followed.until}; expected a window.")
    return pending.window


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
