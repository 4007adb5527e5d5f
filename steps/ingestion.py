"""What is new at a source, into the project's database and a batch's file; its tables, out to a sink."""

from pathlib import Path
from typing import Annotated, Any

from zenml import get_step_context, log_metadata, step
from zenml.enums import StepRuntime

import usecases


# Not cached: what is new at the source is another thing each time. The runtime says that it gets a pod of its
# own on Kubernetes, and the stack file that this pod may reach the database.
@step(enable_cache=False, runtime=StepRuntime.ISOLATED)
def load(
    use_case: str, source: dict[str, Any], full: bool, wait: bool = False
) -> Annotated[dict[str, Any], "batch"]:
    """Load what is new; the batch as it is on record, or nothing but `new_columns` where nothing was new."""
    from ingestion.load import load
    from ingestion.spec import Named
    from settings import Settings
    from training.batches import folder

    loaded = load(
        usecases.load(use_case),
        Named.model_validate(source),
        url=_database(),
        place=folder(use_case),
        home=Path(Settings().home),
        run=str(get_step_context().pipeline_run.name),
        full=full,
        wait=wait,
    )
    batch = loaded.batch.model_dump(mode="json") if loaded.batch else {}
    if loaded.batch:
        log_metadata({name: batch[name] for name in ("id", "source", "rows", "rejected", "fingerprint")})
        lineage = {name: value for name, value in batch["lineage"].items() if value}
        log_metadata(metadata=lineage, artifact_name="batch", infer_artifact=True)
    return {**batch, "new_columns": loaded.new_columns}


# Not cached: what the tables hold is another thing each time.
@step(enable_cache=False, runtime=StepRuntime.ISOLATED)
def export(use_case: str, sink: dict[str, Any], wait: bool = False) -> Annotated[dict[str, Any], "exported"]:
    """Write the days that a sink does not have as they are."""
    from ingestion import sinks

    done = sinks.export(use_case, sinks.Named.model_validate(sink), _database(), wait=wait)
    log_metadata({"what": done.what, "days": len(done.days), "rows": sum(done.days.values())})
    return done.model_dump()


def _database() -> str:
    """The project's database: in a pod by the login of ingestion, which the platform's migration has made."""
    from db.databases import enter, prepare
    from db.foreign import keep_password
    from db.migrate import upgrade
    from settings import Settings
    from stacks.apply import in_cluster

    keep_password()
    settings = Settings()
    if in_cluster():
        assert settings.ingestion_url is not None  # a submission without it is refused
        return enter(settings.ingestion_url)
    url = prepare(settings).modelyard
    upgrade(url)
    return url
