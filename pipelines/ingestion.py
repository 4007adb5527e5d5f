"""Ingest: one step, from what is new at a source to a batch. Export: one, from the tables to a sink."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from errors import UsageError
from pipelines.run import Run, run
from usecases.files import is_here, path

if TYPE_CHECKING:
    from ingestion.sinks import Named as Sink
    from ingestion.spec import Named as Source


@dataclass(frozen=True)
class Ingested:
    """What a load brought."""

    run: Run
    batch: dict[str, Any]
    """As `db.batches.Recorded` has it; without an `id` nothing was new."""


def ingest(use_case: str, source: Source, *, full: bool = False) -> Ingested:
    """Load what is new at a source; with `full` everything in the place of it.

    Raises:
        UsageError: the stack's pods cannot reach it.
        Busy: another load of the use case is under way.
        DataError: it cannot be read, or is rejected as a whole; nothing of it counts then.
    """
    parameters = of_ingest(use_case, source) | {"full": full}
    finished = run(f"ingest_{use_case}", ingesting, parameters)
    return Ingested(finished, finished.output("load", "batch"))


def ingesting(use_case: str, source: dict[str, Any], full: bool = False, wait: bool = False) -> None:
    """Its one step."""
    from steps.ingestion import load

    load(use_case, source, full, wait)


def export(use_case: str, sink: Sink) -> tuple[Run, dict[str, Any]]:
    """Write what a sink does not have yet; returns `ingestion.sinks.Exported`, too.

    Raises:
        UsageError: the stack's pods cannot reach it.
        Busy: another export of the same is under way.
        DataError: it cannot be written to.
    """
    finished = run(f"export_{use_case}", exporting, of_export(use_case, sink))
    return finished, finished.output("export", "exported")


def exporting(use_case: str, sink: dict[str, Any], wait: bool = False) -> None:
    """Its one step."""
    from steps.ingestion import export

    export(use_case, sink, wait)


def of_ingest(use_case: str, source: Source) -> dict[str, Any]:
    """Parameters of a load on the active stack: the source as it is described, so that pods need no file.

    Raises:
        UsageError: the stack's pods cannot reach it.
    """
    from ingestion.spec import FileSource

    if _is_remote() and isinstance(source.source, FileSource) and not source.is_of_project:
        where = source.source.path
        if is_here(path(where.replace("{month}", ""))):
            raise UsageError(
                f"The source {source.name} is {where} on this machine, which pods do not see: put it on S3, "
                "or into the project."
            )
    return {"use_case": use_case, "source": source.model_dump(mode="json")}


def of_export(use_case: str, sink: Sink) -> dict[str, Any]:
    """Parameters of an export on the active stack.

    Raises:
        UsageError: the stack's pods cannot reach it.
    """
    from ingestion.sinks import FileTarget

    if _is_remote() and isinstance(sink.sink.to, FileTarget) and is_here(path(sink.sink.to.path)):
        raise UsageError(
            f"The sink {sink.name} is {sink.sink.to.path}, a folder of a pod that goes: name one on S3."
        )
    return {"use_case": use_case, "sink": sink.model_dump(mode="json")}


def _is_remote() -> bool:
    """Whether steps run as a cluster's pods, which then must have a login to the database."""
    from zenml.client import Client

    configuration: Any = Client().active_stack.orchestrator.config
    if not hasattr(configuration, "database_secret"):
        return False
    if not configuration.database_secret:
        raise UsageError(
            "This platform has no login by which pods reach its PostgreSQL to load or export data: name a "
            "Secret in the chart's databaseLogins.ingestion."
        )
    return True
