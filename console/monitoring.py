"""`monitor` and `checks`: run a check, list those on record, and what a person reads of both."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.markup import escape

from console.releases import is_cluster
from console.reports import NOTHING_RUNS, new_table, times
from console.session import open_session, stages
from errors import UsageError

if TYPE_CHECKING:
    from console.progress import Progress
    from settings import Settings

Document = dict[str, Any]

_STYLES = {"good": "green", "watch": "yellow", "retrain": "red", "too few rows": "yellow"}


def monitor(settings: Settings, stack: str, progress: Progress, use_case: str, since: str | None) -> Document:
    """Check what serves.

    Raises:
        UsageError: there is no such use case, or `since` is no moment.
    """
    import usecases

    usecases.load(use_case)
    begin = moment(since) if since else None
    open_session(settings, stack, progress)
    from pipelines.monitoring import monitor as run_monitor

    with progress.pipeline("monitor"):
        done = run_monitor(use_case, begin)
    check = done.check.model_dump(mode="json") | {"verdict": done.check.verdict}
    return {
        "use_case": use_case,
        "new": done.new,
        "recorded": done.recorded,
        "check": check,
        "notes": list(done.notes),
        "report": str(done.report) if done.report else None,
        "run": done.run.name if done.run else None,
        "stages": stages(progress),
    }


def checks(settings: Settings, stack: str, use_case: str) -> Document:
    """The checks of a use case, the newest first; None of them while PostgreSQL does not run."""
    import usecases
    from console.state import running
    from db import checks as record
    from db.migrate import upgrade

    usecases.load(use_case)
    if is_cluster(stack):
        from monitoring.log import Remote
        from stacks.kubernetes import session

        session.connect(settings)
        there = Remote.of_environment().listed(use_case)
        return {"use_case": use_case, "checks": [one.model_dump(mode="json") for one in there]}
    databases = running(settings)
    if databases is None:
        return {"use_case": use_case, "checks": None}
    upgrade(databases.modelyard)
    found = record.listed(databases.modelyard, use_case)
    return {"use_case": use_case, "checks": [one.model_dump(mode="json") for one in found]}


def moment(text: str) -> datetime:
    """A day or a moment as a person writes it; in UTC unless it names another zone.

    Raises:
        UsageError: it is neither.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--since takes a day or a moment such as 2026-11-26 or 2026-11-26T09:30; got {text!r}."
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def report(document: Mapping[str, Any]) -> RenderableType:
    """The verdict, why, and the numbers behind it."""
    check = document["check"]
    name, verdict = document["use_case"], check["verdict"]
    head = (
        f"[bold]{name}[/] version {check['model_version']}: "
        f"[bold {_STYLES[verdict]}]{verdict}[/], by {check['rows']:,} predictions and {check['outcomes']:,} "
        f"outcomes from {_when(check['since'])} until {_when(check['until'])}."
    )
    findings = [f"  {escape(finding['sentence'])}" for finding in check["findings"]]
    if not document["new"]:
        nothing = f"Nothing new since check {document['recorded']}; the last seconds are left to the next."
        return Group(nothing, head, *findings)
    notes = [f"  Not looked at: {escape(note)}" for note in document["notes"]]
    parts: list[RenderableType] = [head, *findings, *notes, ""]
    for kind in ("performance", "estimated"):
        if check[kind]:
            parts += [_scores(check[kind]), ""]
    if check["shifts"]:
        parts += [_shifts(check), ""]
    return Group(
        *parts,
        f"Check {document['recorded']}; all of it as a page: {escape(document['report'])}",
        "",
        times(document["stages"]),
    )


def listed(document: Mapping[str, Any]) -> RenderableType:
    """Checks, a line each."""
    if document["checks"] is None:
        return NOTHING_RUNS
    if not document["checks"]:
        return f"Not checked yet. Check it: python run.py monitor {document['use_case']}"
    table = new_table(">check", "from", "until", ">version", ">predictions", ">outcomes", "verdict", "found")
    for one in document["checks"]:
        found = one["found"]
        style = _STYLES[one["verdict"]]
        table.add_row(
            str(one["id"]),
            _when(one["since"]),
            _when(one["until"]),
            str(one["model_version"]),
            f"{found['rows']:,}",
            f"{found['outcomes']:,}",
            f"[{style}]{one['verdict']}[/]",
            escape("\n".join(finding["sentence"] for finding in found["findings"])),
        )
    return table


def _scores(performance: Mapping[str, Any]) -> RenderableType:
    unit = f" ({performance['unit']})" if performance["unit"] else ""
    method = "by what came true" if performance["method"] == "outcomes" else "estimated"
    table = new_table(
        f"{method}, rows of", ">rows", f">{performance['metric']}{unit}", ">95% interval", ">promised", ""
    )
    for score in performance["scores"]:
        table.add_row(
            escape(score["name"]),
            f"{score['rows']:,}",
            f"{score['value']:.3f}",
            f"{score['low']:.3f} to {score['high']:.3f}",
            f"{score['promised']:.3f}",
            "[red]worse[/]" if score["worse"] else "",
        )
    return table


def _shifts(check: Mapping[str, Any]) -> RenderableType:
    table = new_table("column", ">distance", ">tolerated", ">p", "")
    for shift in [*([check["prediction"]] if check["prediction"] else []), *check["shifts"]]:
        table.add_row(
            escape(shift["column"]),
            f"{shift['distance']:.3f}",
            f"{shift['tolerated']:.3f}",
            f"{shift['p']:.4f}",
            "[red]drifted[/]" if shift["drifted"] else "",
        )
    return table


def _when(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}"
