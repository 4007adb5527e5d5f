"""Ingest: one step, from what is new at a source to a batch. Export: one, from the tables to a sink."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipelines.run import Run, run


@dataclass(frozen=True)
class Ingested:
    """What a load brought."""

    run: Run
    batch: dict[str, Any]
    """As `db.batches.Recorded` has it; without an `id` nothing was new."""


def ingest(use_case: str, source: str, *, full: bool = False) -> Ingested:
    """Load what is new at a source, by its name or its file; with `full` everything in the place of it.

    Raises:
        UsageError: there is no such source, or it is described wrongly.
        Busy: another load of the use case is under way.
        DataError: it cannot be read, or is rejected as a whole; nothing of it counts then.
    """
    finished = run(f"ingest_{use_case}", ingesting, {"use_case": use_case, "source": source, "full": full})
    return Ingested(finished, finished.output("load", "batch"))


def ingesting(use_case: str, source: str, full: bool) -> None:
    """Its one step."""
    from steps.ingestion import load

    load(use_case, source, full)


def export(use_case: str, sink: str) -> tuple[Run, dict[str, Any]]:
    """Write what a sink does not have yet, by its name or its file; returns `ingestion.sinks.Exported`, too.

    Raises:
        UsageError: there is no such sink, or it is described wrongly.
        Busy: another export of the same is under way.
        DataError: it cannot be written to.
    """
    finished = run(f"export_{use_case}", exporting, {"use_case": use_case, "sink": sink})
    return finished, finished.output("export", "exported")


def exporting(use_case: str, sink: str) -> None:
    """Its one step."""
    from steps.ingestion import export

    export(use_case, sink)
