"""`replay`: logged requests are answered by a model version that has no traffic yet."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType

from console.monitoring import moment
from console.reports import new_table, times
from console.session import open_session, stages
from errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from console.progress import Progress
    from monitoring.window import Row, Window
    from serving.compiled import Compiled
    from settings import Settings
    from usecases.base import UseCase

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
    from monitoring.replay import apart, speeds
    from monitoring.window import frame
    from tracking import registry
    from training.difference import of_rows
    from usecases.base import columns

    with progress.stage("read the log"):
        log = logs.here()
        window = log.pending(use_case, begin).window
        asked = list(_draw(log, window, known=False))
        if window is None or not asked:
            raise DataError(f"Nothing of {use_case} is logged since {begin:%Y-%m-%d %H:%M} UTC.")
        known = frame(case, _draw(log, window, known=True), known=True).rows
        old = frame(case, asked, known=False).rows
    with progress.stage("compile"), tempfile.TemporaryDirectory() as scratch:
        candidate = registry.find(use_case, version)
        newest = max(window.rows)
        fast = _compiled(case, candidate.number, Path(scratch) / "candidate")
        before = _compiled(case, newest, Path(scratch) / "newest")
    with progress.stage("answer"):
        requests = case.request_columns
        answers = apart(
            old[registry.PREDICTION].to_numpy(),
            fast.predict_columns(columns(old[requests])),
            parity=case.parity,
        )
        speed = speeds([_answering(case, model) for model in (fast, before)], _valid(case, asked))
    document: Document = {
        "use_case": use_case,
        "version": candidate.number,
        "beside": sorted(window.rows),
        "since": window.since.isoformat(),
        "until": window.until.isoformat(),
        "logged": sum(window.rows.values()),
        "answers": answers.model_dump(),
        "speed": {"candidate": speed[0].model_dump(), "newest": {"version": newest} | speed[1].model_dump()},
        "error": None,
    }
    if len(known):
        with progress.stage("what came true"):
            own = fast.predict_columns(columns(known[requests]))
            given = known[registry.PREDICTION].to_numpy()
            truth = known[case.target].to_numpy()
            document["error"] = {
                "metric": case.metric.name,
                "unit": case.metric.unit,
                "rows": len(known),
                "candidate": float(case.metric.score(truth, own)),
                "answered": float(case.metric.score(truth, given)),
                "difference": of_rows(case, known, own, given).model_dump(),
            }
    return document | {"stages": stages(progress)}


def report(document: Mapping[str, Any]) -> RenderableType:
    """How far apart, how fast, how good."""
    answers, speed, error = document["answers"], document["speed"], document["error"]
    beside = ", ".join(map(str, document["beside"]))
    head = (
        f"[bold]{document['use_case']}[/] version {document['version']} beside version {beside}, "
        f"on {answers['rows']:,} of the {document['logged']:,} requests logged since "
        f"{datetime.fromisoformat(document['since']):%Y-%m-%d %H:%M} UTC."
    )
    table = new_table("", f">version {document['version']}", f">version {beside}")
    if error:
        unit = f" ({error['unit']})" if error["unit"] else ""
        rows = f"{error['metric']}{unit} on {error['rows']:,} outcomes"
        table.add_row(rows, f"{error['candidate']:.4g}", f"{error['answered']:.4g}")
    newest = f"version {speed['newest']['version']}"
    table.add_row(
        "to a prediction, median µs",
        f"{speed['candidate']['median']:.0f}",
        f"{speed['newest']['median']:.0f} ({newest})",
    )
    table.add_row(
        "99th percentile µs", f"{speed['candidate']['p99']:.0f}", f"{speed['newest']['p99']:.0f} ({newest})"
    )
    lines = [
        f"Answers: {answers['same']:.1%} the same; {answers['mean']:+.3g} on average; apart by "
        f"{answers['median']:.3g} (median), {answers['p95']:.3g} (95th percentile), "
        f"{answers['largest']:.3g} (largest)."
    ]
    lines.append(
        _verdict(error) if error else "No outcome is known of these requests: which is better can't be said."
    )
    return Group(head, "", table, "", *lines, "", times(document["stages"]))


def _verdict(error: Mapping[str, Any]) -> str:
    difference = error["difference"]
    if difference["upper"] is None:
        return "Too few outcomes to tell which is better."
    if difference["upper"] < 0:
        return "It is better than what was answered, by more than chance explains."
    return "It is not better than what was answered by more than chance explains."


def _draw(log: Any, window: Window | None, *, known: bool) -> list[Row]:
    """Rows of all versions that answered."""
    there = () if window is None else window.outcomes if known else window.rows
    return [row for version in there for row in log.draw(window, version, known=known)]


def _compiled(case: UseCase, version: int, folder: Path) -> Compiled:
    from serving.compile import compile_model
    from tracking import registry

    loaded = registry.load(registry.find(case.name, str(version)))
    return compile_model(case, loaded.model, loaded.provenance["candidate"], folder)


def _answering(case: UseCase, model: Compiled) -> Callable[[str], float]:
    validate = case.request.__pydantic_validator__.validate_json
    return lambda text: model.predict(validate(text))


def _valid(case: UseCase, drawn: list[Row]) -> Iterator[str]:
    """Requests that today's contract takes."""
    from pydantic import ValidationError

    for _, text, _, _ in drawn:
        try:
            case.request.model_validate_json(text)
        except ValidationError:
            continue
        yield text
