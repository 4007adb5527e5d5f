"""Many rows through a model version."""

from typing import Annotated, Any

from zenml import get_step_context, log_metadata, step
from zenml.enums import StepRuntime

from steps.tracking import open_tracking_in_cluster


# Not cached: the input may have changed, and the output may be gone. The runtime says that it gets a pod of
# its own on Kubernetes.
@step(enable_cache=False, runtime=StepRuntime.ISOLATED)
def score(
    use_case: str,
    version: int,
    source: str,
    target: str,
    keep: list[str] | None,
    key: list[str] | None,
) -> Annotated[dict[str, Any], "scored"]:
    """Let the version's Bento answer every row of the input that the output does not have yet."""
    from releases.package import package
    from scoring import places
    from scoring.rows import Scorer
    from scoring.run import score
    from serving import endpoint
    from settings import Settings

    open_tracking_in_cluster()
    rows = places.source(source, key)
    output = places.target(target, rows)
    _, packed = package(use_case, version, Settings().home)
    scorer = Scorer(endpoint.load(packed.path / "src"), str(get_step_context().pipeline_run.name), keep)
    plan = {"use_case": use_case, "version": version, "bento": packed.tag, "keep": keep}
    record = score(rows, output, scorer, plan)
    done: dict[str, Any] = {
        "rows": record.rows,
        "refused": record.refused,
        "parts": record.parts,
        "bento": packed.tag,
    }
    log_metadata(done)
    return done
