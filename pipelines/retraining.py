"""Retrain: look at what there is → decide → train → release → record; each run does what is to be done next.

Killed anywhere, the next run goes on: what was begun is given up on record, finished steps of a training come
from the cache, and a champion that was not released yet is released.

On a cluster all of it is one run, which a schedule may start: [survey → check →] decide → train → release →
conclude.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from pipelines.monitoring import monitoring
from pipelines.release import deploying, release
from pipelines.run import run
from pipelines.training import Trained, learning, train, trained
from steps.evidence import WINDOW, Options, decided, look, of_training, split, to_release

if TYPE_CHECKING:
    from monitoring.decision import Decision, Evidence
    from monitoring.ledger import Ledger
    from releases.outcome import Outcome
    from settings import Settings
    from training.plan import Plan

__all__ = ["WINDOW", "Options", "Retrained", "retrain", "retrain_in_cluster", "retraining", "watching"]


@dataclass(frozen=True)
class Retrained:
    """What was decided, and what came of it."""

    number: int
    """Of the decision on record."""
    decision: Decision
    evidence: Evidence
    plan: Plan
    trained: Trained | None = None
    released: Outcome | None = None


def retrain(
    settings: Settings, url: str, use_case: str, options: Options, *, if_needed: bool = False
) -> Retrained:
    """Do what is to be done next about a use case's model; `url` is of the project's own database.

    Without `if_needed` it is trained in any case; also then a new model must be better than the champion.

    Raises:
        Busy: another process trains, or decides, at this moment.
        ModelyardError: a step failed, or a release was given up; that is on record, too.
    """
    from db import decisions
    from db.releases import person
    from monitoring.ledger import Database
    from releases.local import TARGET

    ledger = Database(url)
    with decisions.alone(url, use_case):
        evidence, plan = look(ledger, TARGET, settings.home / "downloads", use_case, options)
        decision, number = decided(ledger, evidence, person(), if_needed=if_needed)
        done = Retrained(number, decision, evidence, plan)
        if decision.decision == "nothing":
            return done
        with _recorded(ledger, number) as result:
            if decision.decision == "retrain":
                made = train(split(plan))
                result["training"] = of_training(
                    made.promotion, made.evaluation, made.judgement, made.run.name
                )
                done = replace(done, trained=made)
            version = to_release(evidence, done.trained.promotion if done.trained else None)
            if version is not None:
                outcome = release(use_case, str(version), why=_why(number, decision)).outcome
                result["release"] = outcome.model_dump(mode="json")
                done = replace(done, released=outcome)
        return done


def retrain_in_cluster(
    use_case: str, options: Options, *, if_needed: bool = False, require_approval: bool = False
) -> Retrained:
    """The same by a run in the cluster of the active stack.

    Raises:
        UsageError: an option makes no sense for the use case.
        Busy: another run is at it.
        ModelyardError: a step failed, or a release was given up; that is on record, too.
    """
    import usecases
    from db.releases import person
    from training import plan as plans

    plans.check(usecases.load(use_case), None, options.candidates)
    parameters = {
        "use_case": use_case,
        "options": asdict(options),
        "by": person(),
        "if_needed": if_needed,
        "require_approval": require_approval,
    }
    finished = run(f"retrain_{use_case}", retraining, parameters)
    plan = finished.output("decide", "plan")
    steps = finished.response.steps
    return Retrained(
        number=finished.output("decide", "number"),
        decision=finished.output("decide", "decision"),
        evidence=finished.output("decide", "evidence"),
        plan=plan,
        trained=trained(finished, plan) if "promote" in steps else None,
        released=finished.output("deploy", "outcome") if "deploy" in steps else None,
    )


def watching(use_case: str, options: dict[str, Any], by: str, require_approval: bool) -> None:
    """A round in a cluster: check what serves, then do what is to be done."""
    from steps.retraining import survey

    asked = survey(use_case).load()
    try:
        if asked is not None:
            monitoring(**asked)
    finally:
        # A check that fails is no reason not to learn from new data; it is the run that fails then.
        retraining(use_case, options, by, if_needed=True, require_approval=require_approval)


def retraining(
    use_case: str, options: dict[str, Any], by: str, if_needed: bool, require_approval: bool
) -> None:
    """The steps from what there is in a cluster to what is to be there, in their order."""
    from steps.retraining import conclude, decide, settle

    said, known, noted, planned = decide(use_case, options, by, if_needed)
    decision, evidence, number = said.load(), known.load(), noted.load()
    if decision.decision == "nothing":
        return
    came: dict[str, Any] = {}
    try:
        promotion = None
        if decision.decision == "retrain":
            champion = evidence.champion.version if evidence.champion else None
            plan = settle(planned).load()
            came["evaluation"], came["judgement"], came["promotion"] = learning(plan, champion)
            promotion = came["promotion"].load()
        version = to_release(evidence, promotion)
        if version is not None:
            came["outcome"] = deploying(use_case, version, _why(number, decision), by, None, require_approval)
    except Exception as error:
        conclude(number, **came, error=f"{error}" or type(error).__name__)
        raise
    conclude(number, **came)


def _why(number: int, decision: Decision) -> str:
    return f"decision {number}: {decision.reasons[0]}"


@contextmanager
def _recorded(ledger: Ledger, number: int) -> Iterator[dict[str, Any]]:
    """The result of a decision, which is on record however the block ends."""
    result: dict[str, Any] = {}
    try:
        yield result
    except Exception as error:
        ledger.end(number, "failed", result | {"error": f"{error}" or type(error).__name__})
        raise
    except BaseException:
        ledger.end(number, "abandoned", result | {"error": "it was interrupted", "interrupted": True})
        raise
    ledger.end(number, "done", result)
