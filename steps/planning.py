"""What a scheduled training is to do, settled when it begins."""

from pathlib import Path
from typing import Annotated, Any

from upath import UPath
from zenml import log_metadata, step
from zenml.client import Client


# Not cached: what there is to train on, and against which champion, is to be found out each time.
@step(enable_cache=False, experiment_tracker=True)
def make_plan(
    use_case: str, options: dict[str, Any]
) -> tuple[Annotated[dict[str, Any], "plan"], Annotated[int | None, "champion"]]:
    """Locate and fingerprint the data files, and put those of this pod where others can read them."""
    import tempfile

    import usecases
    from tracking import registry
    from training import plan as plans

    plan = plans.make(usecases.load(use_case), downloads=Path(tempfile.gettempdir()), **options)
    plan = plans.upload(plan, UPath(Client().active_stack.artifact_store.path).parent)
    champion = registry.champion(use_case)
    log_metadata({"files": len(plan.files), "source": plan.source})
    return plan.model_dump(mode="json"), champion.number if champion else None
