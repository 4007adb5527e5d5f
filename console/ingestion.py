"""`ingest` and `sources`: what is asked for, what came of it, how fresh it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from console.session import open_session, stages

if TYPE_CHECKING:
    from rich.console import RenderableType

    from console.progress import Progress
    from db.batches import Recorded
    from settings import Settings
    from usecases.base import UseCase

Document = dict[str, Any]


def ingest(
    settings: Settings, stack: str, progress: Progress, use_case: str, source: str, *, full: bool
) -> Document:
    """Load what is new at a source by the pipeline."""
    import usecases
    from db.foreign import keep_password
    from ingestion import spec

    usecases.load(use_case)
    named = spec.find(use_case, source)
    keep_password()
    open_session(settings, stack, progress, tracking=False)
    from pipelines.ingestion import ingest

    with progress.pipeline("ingest"):
        done = ingest(use_case, named, full=full)
    batch = done.batch
    return {
        "use_case": use_case,
        "source": named.name,
        "loaded": "id" in batch,
        "batch": batch.get("file", "").removesuffix(".parquet") or None,
        "rows": batch.get("rows", 0),
        "rejected": batch.get("rejected", 0),
        "reasons": batch.get("lineage", {}).get("reasons", {}),
        "new_columns": batch["new_columns"],
        "replaces": batch.get("replaces", False),
        "fingerprint": batch.get("fingerprint"),
        "lineage": batch.get("lineage"),
        "run": done.run.name,
        "stages": stages(progress),
    }


def export(settings: Settings, stack: str, progress: Progress, use_case: str, sink: str) -> Document:
    """Write what a sink does not have yet by the pipeline."""
    import usecases
    from db.foreign import keep_password
    from ingestion import sinks

    usecases.load(use_case)
    named = sinks.read(use_case, sink)
    keep_password()
    open_session(settings, stack, progress, tracking=False)
    from pipelines.ingestion import export

    with progress.pipeline("export"):
        run, done = export(use_case, named)
    return {
        "use_case": use_case,
        "sink": named.name,
        **done,
        "rows": sum(done["days"].values()),
        "to": named.sink.to.model_dump(exclude={"password"}),
        "run": run.name,
        "stages": stages(progress),
    }


def schedule_ingest(
    settings: Settings, stack: str, progress: Progress, use_case: str, source: str, cron: str
) -> Document:
    """Let a cluster load what is new at a source by itself."""
    import usecases
    from console.jobs import open_schedules
    from ingestion import spec

    usecases.load(use_case)
    named = spec.find(use_case, source)
    schedules = open_schedules(settings, stack, progress)
    with progress.stage("schedule"):
        before = schedules.schedule_ingest(use_case, cron, named)
    does = f"loads what is new at {named.name} for {use_case}"
    return {"use_case": use_case, "source": named.name, "cron": cron, "before": before, "does": does}


def schedule_export(
    settings: Settings, stack: str, progress: Progress, use_case: str, sink: str, cron: str
) -> Document:
    """Let a cluster write what a sink does not have by itself."""
    import usecases
    from console.jobs import open_schedules
    from ingestion import sinks

    usecases.load(use_case)
    named = sinks.read(use_case, sink)
    schedules = open_schedules(settings, stack, progress)
    with progress.stage("schedule"):
        before = schedules.schedule_export(use_case, cron, named)
    does = f"writes {named.sink.what} of {use_case} to {named.name}"
    return {"use_case": use_case, "sink": named.name, "cron": cron, "before": before, "does": does}


def check(settings: Settings, stack: str, progress: Progress, use_case: str, source: str) -> Document:
    """Read a few rows of a source and show them to the contract; nothing is loaded."""
    import usecases
    from db.foreign import keep_password
    from ingestion import spec
    from ingestion.check import check

    case = usecases.load(use_case)
    named = spec.find(use_case, source)
    keep_password()
    # Secrets may be in ZenML's store.
    open_session(settings, stack, progress, tracking=False)
    return {"use_case": use_case, "source": named.name, **check(case, named)}


def sources(settings: Settings, stack: str, progress: Progress, use_case: str) -> Document:
    """The sources of a use case, those that come with it and those that were loaded from elsewhere."""
    import usecases
    from ingestion import spec

    case = usecases.load(use_case)
    loaded = _loaded(settings, stack, progress, use_case)
    named = {each.name: each.source for each in spec.listed(use_case)}
    names = list(dict.fromkeys([*named, *(batch.source for batch in loaded)]))
    of_each = {name: [batch for batch in loaded if batch.source == name] for name in names}
    return {
        "use_case": use_case,
        "sources": [
            {
                "source": name,
                "about": named[name].about if name in named else "",
                "kind": named[name].kind if name in named else of_each[name][-1].lineage["kind"],
                **_state(case, of_each[name]),
            }
            for name in names
        ],
    }


def _loaded(settings: Settings, stack: str, progress: Progress, use_case: str) -> Sequence[Recorded]:
    from console.releases import is_cluster

    if is_cluster(stack):
        from ingestion.record import Remote

        open_session(settings, stack, progress)
        return Remote.of_environment().loaded(use_case)
    from db import batches
    from db.databases import prepare
    from db.migrate import upgrade

    url = prepare(settings).modelyard
    upgrade(url)
    return batches.loaded(url, use_case)


def _state(case: UseCase, loaded: Sequence[Recorded]) -> Document:
    if not loaded:
        return {
            "loaded_at": None,
            "batches": 0,
            "rows": 0,
            "rejected": 0,
            "cursor": None,
            "newest": None,
            "outdated": None,
        }
    last = loaded[-1]
    newest = max((batch.lineage["newest"] for batch in loaded if batch.lineage["newest"]), default=None)
    return {
        "loaded_at": last.at.isoformat(timespec="seconds"),
        "batches": len(loaded),
        "rows": sum(batch.rows for batch in loaded),
        "rejected": sum(batch.rejected for batch in loaded),
        "cursor": last.lineage["until"] or ", ".join(list(last.lineage["files"])[-1:]) or None,
        "newest": newest,
        "outdated": _is_outdated(case, newest),
    }


def _is_outdated(case: UseCase, newest: str | None) -> bool | None:
    allowed = case.outdated_after.data
    if allowed is None or newest is None:
        return None
    moment = datetime.fromisoformat(newest)
    # Data files have no zone; UTC is near enough for days.
    return datetime.now(UTC) - (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) > allowed


def report(document: Mapping[str, Any]) -> RenderableType:
    """How many rows came, and how many of which reason were not let in."""
    from rich.console import Group
    from rich.markup import escape

    from console.reports import times

    name = f"{document['use_case']} from {document['source']}"
    lines = []
    if not document["loaded"]:
        lines.append(f"[bold]{name}[/]: nothing is new.")
    else:
        place = " in the place of what was there" if document["replaces"] else ""
        lines.append(f"[bold]{name}[/]: {document['rows']:,} rows{place}, batch {document['batch']}")
    if document["rejected"]:
        read = document["rows"] + document["rejected"]
        lines.append(
            f"[yellow]{document['rejected']:,} of {read:,} rows are in quarantine[/], "
            f"ingested.{document['use_case']}_quarantine:"
        )
        lines += [f"  {count:,} × {escape(reason)}" for reason, count in document["reasons"].items()]
    if document["new_columns"]:
        lines.append(f"New columns, left out: {', '.join(document['new_columns'])}")
    return Group(*lines, f"Run in ZenML: {document['run']}", times(document["stages"]))


def export_report(document: Mapping[str, Any]) -> RenderableType:
    """Which days were written."""
    from rich.console import Group

    from console.reports import times

    name = f"{document['what']} of {document['use_case']} to {document['sink']}"
    days, there = document["days"], document["there"]
    if days:
        said = f"{document['rows']:,} rows written"
    elif there:
        said = "nothing is new"
    else:
        said = f"there are no {document['what']} yet"
    lines = [f"[bold]{name}[/]: {said}", *(f"  {day}: {rows:,}" for day, rows in days.items())]
    if there:
        lines.append(f"Days that were there as they are: {there}")
    return Group(*lines, f"Run in ZenML: {document['run']}", times(document["stages"]))


def check_report(document: Mapping[str, Any]) -> RenderableType:
    """How each column is filled, and which rows would not be let in."""
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("column", "from", "comes as", "becomes"):
        table.add_column(heading)
    for each in document["columns"]:
        table.add_row(*(escape(each[key]) for key in ("column", "from", "comes_as", "becomes")))
    accepted = document["rows"] - len(document["rejected"])
    lines = [
        f"Left out: {', '.join(document['left_out']) or 'nothing'}",
        f"Of the first {document['rows']:,} rows {accepted:,} are accepted. Nothing was loaded.",
        *(f"  [yellow]{escape(each['reason'])}[/]: {escape(each['row'])}" for each in document["rejected"]),
    ]
    return Group(f"[bold]{escape(document['origin'])}[/]", table, *lines)


def sources_report(document: Mapping[str, Any]) -> RenderableType:
    """A line for each source."""
    from rich.markup import escape
    from rich.table import Table

    if not document["sources"]:
        name = document["use_case"]
        return f"{name} has no sources: write one, usecases/{name}/sources/NAME.yaml"
    table = Table(box=None, pad_edge=False)
    for heading in ("source", "kind", "last load", "batches", "rows", "quarantined", "up to", "newest row"):
        table.add_column(
            heading, justify="right" if heading in ("batches", "rows", "quarantined") else "left"
        )
    for each in document["sources"]:
        fresh = {True: " [red]outdated[/]", False: " fresh", None: ""}[each["outdated"]]
        table.add_row(
            each["source"],
            each["kind"],
            each["loaded_at"] or "never",
            f"{each['batches']:,}",
            f"{each['rows']:,}",
            f"{each['rejected']:,}",
            escape(str(each["cursor"] or "")),
            f"{each['newest'] or ''}{fresh}",
        )
    return table
