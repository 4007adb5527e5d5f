"""`replay`: logged requests are answered by a model version that has no traffic yet."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType

from console.monitoring import moment
from console.reports import new_table, times
from console.session import open_session, stages
from errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import pandas as pd

    from console.progress import Progress
    from monitoring.log import Log
    from monitoring.window import Row, Window
    from serving.compiled import Compiled
    from settings import Settings
    from usecases.base import Array, UseCase

Document = dict[str, Any]

SINCE = timedelta(days=7)


def replay(
    settings: Settings, stack: str, progress: Progress, use_case: str, version: str, since: str | None
) -> Document:
    """Put the answers of `version` beside those that were given since then, and beside what came true.

    Raises:
        UsageError: there is no such use case, or `since` is no moment.
        TrackingError: there is no such version.
        DataError: nothing was logged since then.
        ReleaseError: the version cannot be compiled.
    """
    import usecases

    case = usecases.load(use_case)
    begin = moment(since) if since else datetime.now(UTC) - SINCE
    open_session(settings, stack, progress)
    from monitoring import log as logs

    log = logs.here()
    window = log.pending(use_case, begin).window
    if window is None or not window.rows:
        raise DataError(f"Nothing of {use_case} is logged since {begin:%Y-%m-%d %H:%M} UTC.")
    with compiled(case, version, progress) as candidate:
        return beside(case, log, window, candidate, progress)


@dataclass(frozen=True)
class Candidate:
    """A version that is asked what others were asked."""

    version: int
    model: Compiled


@contextmanager
def compiled(case: UseCase, version: str, progress: Progress) -> Iterator[Candidate]:
    """That version, as an endpoint would run it; for as long as the block.

    Raises:
        TrackingError: there is no such version.
        ReleaseError: it cannot be compiled.
    """
    from serving.compile import compile_model
    from tracking import registry

    with tempfile.TemporaryDirectory() as scratch:
        with progress.stage(f"compile {version}"):
            found = registry.find(case.name, version)
            loaded = registry.load(found)
            model = compile_model(case, loaded.model, loaded.provenance["candidate"], Path(scratch))
        yield Candidate(found.number, model)


def beside(case: UseCase, log: Log, window: Window, candidate: Candidate, progress: Progress) -> Document:
    """The candidate beside those that answered in the window; what nothing was logged for is None."""
    from monitoring.replay import apart, speeds
    from monitoring.window import frame
    from training.difference import of_rows

    with progress.stage("read the log"):
        asked = drawn(log, window, known=False)
        known = frame(case, drawn(log, window, known=True), known=True).rows
        old = frame(case, asked, known=False).rows
    document: Document = {
        "use_case": case.name,
        "version": candidate.version,
        "beside": sorted(window.rows),
        "since": window.since.isoformat(),
        "until": window.until.isoformat(),
        "logged": sum(window.rows.values()),
        "answers": None,
        "speed": None,
        "error": None,
    }
    if len(old):
        newest = max(window.rows)
        with compiled(case, str(newest), progress) as before, progress.stage("answer"):
            answers = apart(*answered(case, candidate, old), parity=case.parity)
            both = [answering(case, one.model) for one in (candidate, before)]
            own, given = (one.model_dump() for one in speeds(both, valid(case, asked)))
        document["answers"] = answers.model_dump()
        document["speed"] = {"candidate": own, "newest": {"version": newest} | given}
    if len(known):
        with progress.stage("what came true"):
            before_that, after = answered(case, candidate, known)
            error = scores(case, known[case.target].to_numpy(), after, before_that)
            told = error["candidate"] is not None
            difference = of_rows(case, known, after, before_that).model_dump() if told else None
            document["error"] = error | {"difference": difference}
    return document | {"stages": stages(progress)}


def answered(case: UseCase, candidate: Candidate, rows: pd.DataFrame) -> tuple[Array, Array]:
    """What was answered to these rows, and what the candidate answers."""
    from monitoring.performance import PREDICTION
    from usecases.base import columns

    return rows[PREDICTION].to_numpy(), candidate.model.predict_columns(columns(rows[case.request_columns]))


def scores(case: UseCase, truth: Array, own: Array, given: Array) -> Document:
    """The error of the candidate and of what was answered; None where so few outcomes have none."""
    metric = case.metric
    found: list[float | None] = [None, None]
    # Outcomes of one class alone may have no error.
    with suppress(ValueError):
        found = [float(metric.score(truth, answers)) for answers in (own, given)]
    about = {"metric": metric.name, "unit": metric.unit, "rows": len(truth)}
    return about | {"candidate": found[0], "answered": found[1]}


def report(document: Mapping[str, Any]) -> RenderableType:
    """How far apart, how fast, how good."""
    answers, error = document["answers"], document["error"]
    versions = ", ".join(map(str, document["beside"]))
    others = f"version {versions}" if versions else "what was answered"
    head = (
        f"[bold]{document['use_case']}[/] version {document['version']} beside {others}, "
        f"on {answers['rows'] if answers else 0:,} of the {document['logged']:,} requests logged since "
        f"{datetime.fromisoformat(document['since']):%Y-%m-%d %H:%M} UTC."
    )
    table = new_table("", f">version {document['version']}", f">{others}")
    lines = []
    if error and error["candidate"] is not None:
        unit = f" ({error['unit']})" if error["unit"] else ""
        rows = f"{error['metric']}{unit} on {error['rows']:,} outcomes"
        table.add_row(rows, f"{error['candidate']:.4g}", f"{error['answered']:.4g}")
    if answers:
        own, newest = document["speed"]["candidate"], document["speed"]["newest"]
        for name, key in (("to a prediction, median µs", "median"), ("99th percentile µs", "p99")):
            table.add_row(name, f"{own[key]:.0f}", f"{newest[key]:.0f} (version {newest['version']})")
        lines.append(f"Answers: {answers['mean']:+.3g} on average; {distances(answers)}.")
    if error:
        lines.append(_verdict(error))
    else:
        lines.append("No outcome is known of these requests: which is better can't be said.")
    return Group(head, *(("", table) if table.row_count else ()), "", *lines, "", times(document["stages"]))


def distances(answers: Mapping[str, Any]) -> str:
    """How far answers are apart, in words."""
    return (
        f"{answers['same']:.1%} the same; apart by {answers['median']:.3g} (median), "
        f"{answers['p95']:.3g} (95th percentile), {answers['largest']:.3g} (largest)"
    )


def _verdict(error: Mapping[str, Any]) -> str:
    difference = error["difference"]
    if difference is None or difference["upper"] is None:
        return "Too few outcomes to tell which is better."
    if difference["upper"] < 0:
        return "It is better than what was answered, by more than chance explains."
    return "It is not better than what was answered by more than chance explains."


def drawn(log: Log, window: Window, *, known: bool) -> list[Row]:
    """Rows of all versions that answered."""
    there = window.outcomes if known else window.rows
    return [row for version in there for row in log.draw(window, version, known=known)]


def answering(case: UseCase, model: Compiled) -> Callable[[str], float]:
    """From a request's bytes to a prediction."""
    validate = case.request.__pydantic_validator__.validate_json
    return lambda text: model.predict(validate(text))


def valid(case: UseCase, asked: Iterable[Row]) -> Iterator[str]:
    """Requests that today's contract takes."""
    from pydantic import ValidationError

    for _, text, _, _ in asked:
        try:
            case.request.model_validate_json(text)
        except ValidationError:
            continue
        yield text
