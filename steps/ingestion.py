"""What is new at a source, into the project's database and a batch's file."""

from pathlib import Path
from typing import Annotated, Any

from zenml import get_step_context, log_metadata, step
from zenml.enums import StepRuntime

import usecases


# Not cached: what is new at the source is another thing each time. The runtime says that it gets a pod of its
# own on Kubernetes.
@step(enable_cache=False, runtime=StepRuntime.ISOLATED)
def load(use_case: str, source: str, full: bool) -> Annotated[dict[str, Any], "batch"]:
    """Load what is new; the batch as it is on record, or nothing but `new_columns` where nothing was new."""
    from db.databases import prepare
    from db.migrate import upgrade
    from ingestion import spec
    from ingestion.load import load
    from settings import Settings
    from training.batches import folder

    settings = Settings()
    url = prepare(settings).modelyard
    upgrade(url)
    loaded = load(
        usecases.load(use_case),
        spec.find(use_case, source),
        url=url,
        place=folder(use_case),
        home=Path(settings.home),
        run=str(get_step_context().pipeline_run.name),
        full=full,
    )
    batch = loaded.batch.model_dump(mode="json") if loaded.batch else {}
    if loaded.batch:
        log_metadata({name: batch[name] for name in ("id", "source", "rows", "rejected", "fingerprint")})
        lineage = {name: value for name, value in batch["lineage"].items() if value}
        log_metadata(metadata=lineage, artifact_name="batch", infer_artifact=True)
    return {**batch, "new_columns": loaded.new_columns}


# Not cached: what the tables hold is another thing each time.
@step(enable_cache=False, runtime=StepRuntime.ISOLATED)
def export(use_case: str, sink: str) -> Annotated[dict[str, Any], "exported"]:
    """Write the days that a sink does not have as they are."""
    from db.databases import prepare
    from db.migrate import upgrade
    from ingestion import sinks
    from settings import Settings

    url = prepare(Settings()).modelyard
    upgrade(url)
    _, file, wanted = sinks.read(use_case, sink)
    done = sinks.export(use_case, wanted, url, file.parent)
    log_metadata({"what": done.what, "days": len(done.days), "rows": sum(done.days.values())})
    return done.model_dump()
