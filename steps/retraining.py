"""A round of the closed loop in a cluster: look whether there is something to check, decide, conclude."""

from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from upath import UPath
from zenml import get_step_context, log_metadata, step
from zenml.client import Client
from zenml.config.retry_config import StepRetryConfig

from errors import Busy
from monitoring.decision import Decision, Evidence
from releases.outcome import Outcome
from training.evaluation import Evaluation
from training.gates import Judgement
from training.plan import Plan
from training.promotion import Promotion

# None is cached: what there is, and what is on record, is another thing each time. A pod can be killed or
# moved at any time; the next one begins its step once more.
_TRIES = StepRetryConfig(max_retries=3)


@step(enable_cache=False, retry=_TRIES)
def survey(use_case: str) -> Annotated[dict[str, Any] | None, "asked"]:
    """What the steps of a check are to be given; None where nothing came that was not checked."""
    from monitoring.log import Remote, reach
    from stacks.kubernetes.tracking import open_tracking

    open_tracking()
    return Remote.of_environment().pending(use_case, None, reach(use_case)).asks()


@step(enable_cache=False, retry=_TRIES)
def decide(
    use_case: str, options: dict[str, Any], by: str, if_needed: bool
) -> tuple[
    Annotated[Decision, "decision"],
    Annotated[Evidence, "evidence"],
    Annotated[int, "number"],
    Annotated[Plan, "plan"],
]:
    """Look at what there is, decide, and note it; what a run that is gone had begun is given up.

    Raises:
        Busy: another run is at it.
    """
    import tempfile

    from monitoring.ledger import Remote
    from releases.kubernetes.release import TARGET
    from stacks.kubernetes.tracking import open_tracking
    from steps.evidence import Options, decided, look

    open_tracking()
    ledger = Remote.of_environment()
    run = get_step_context().pipeline_run.name
    _give_up(ledger, use_case, run)
    evidence, plan = look(ledger, TARGET, Path(tempfile.gettempdir()), use_case, Options(**options))
    decision, number = decided(ledger, evidence, by, if_needed=if_needed, run=run)
    log_metadata(
        metadata={"decision": decision.decision, "reasons": decision.reasons, "number": number},
        artifact_name="decision",
        infer_artifact=True,
    )
    return decision, evidence, number, plan


@step(enable_cache=False)
def settle(plan: Plan) -> Annotated[dict[str, Any], "plan"]:
    """Find the day from which on is judged, and put data files of this pod where others can read them."""
    from steps.evidence import split
    from training import plan as plans

    settled = plans.upload(split(plan), UPath(Client().active_stack.artifact_store.path).parent)
    log_metadata({"files": len(settled.files), "cutoff": f"{settled.cutoff}"})
    return settled.model_dump(mode="json")


@step(enable_cache=False, retry=_TRIES)
def conclude(
    number: int,
    evaluation: Evaluation | None = None,
    judgement: Judgement | None = None,
    promotion: Promotion | None = None,
    outcome: Outcome | None = None,
    error: str | None = None,
) -> None:
    """Note what came of a decision."""
    from monitoring.ledger import Remote
    from stacks.kubernetes.tracking import open_tracking
    from steps.evidence import of_training

    open_tracking()
    run = get_step_context().pipeline_run
    result: dict[str, Any] = {"run": run.name}
    if promotion is not None and evaluation is not None and judgement is not None:
        result["training"] = of_training(promotion, evaluation, judgement, run.name)
    if outcome is not None:
        result["release"] = outcome.model_dump(mode="json")
    if error is not None:
        result["error"] = _raised(run.id) or error
    Remote.of_environment().end(number, "failed" if error else "done", result)


def _raised(run: UUID) -> str | None:
    """What the step raised that failed first; one with a pod of its own tells it to nobody but ZenML."""
    steps = Client().get_pipeline_run(run, hydrate=True).steps.values()
    failed = [step for step in steps if step.status.is_failed and step.exception_info]
    if not failed:
        return None
    first = min(failed, key=lambda step: step.end_time or step.created)
    assert first.exception_info is not None
    return first.exception_info.message


def _give_up(ledger: Any, use_case: str, run: str) -> None:
    """Note of a decision under way that its run is gone.

    Raises:
        Busy: it is not.
    """
    from stacks.kubernetes.runs import goes_on

    for begun in ledger.decisions(use_case, limit=5):
        if begun.status != "begun":
            continue
        of = str((begun.result or {}).get("run"))
        if of == run:
            # This step is done again: nothing was done yet of what was decided.
            gone = {"error": "its pod was gone before anything was done", "interrupted": True}
        elif goes_on(of):
            raise Busy(
                f"Decision {begun.id} about {use_case} is under way, by the run {of}; nothing was done."
            )
        else:
            gone = {"error": f"its run {of} was gone"}
        ledger.end(begun.id, "abandoned", {"run": of, **gone})
