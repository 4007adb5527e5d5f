"""Retrain: look at what there is → decide → train → release → record; each run does what is to be done next.

Killed anywhere, the next run goes on: what was begun is given up on record, finished steps of a training come
from the cache, and a champion that was not released yet is released.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipelines.release import release
from pipelines.training import Trained, train

if TYPE_CHECKING:
    from db.decisions import Recorded
    from monitoring.decision import Champion, Checked, Decision, Evidence, Serving
    from releases.outcome import Outcome
    from settings import Settings
    from tracking.registry import Version
    from training.plan import Plan

WINDOW = 3
"""So many of the newest data files are trained on and judged by."""


@dataclass(frozen=True)
class Options:
    """What a retraining is asked for."""

    source: str | None = None
    """Where data files come to; None: where the champion's came from."""
    window: int = WINDOW
    candidates: Sequence[str] | None = None
    trials: int = 1
    seed: int = 42


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
    from monitoring.decision import Decision, decide

    with decisions.alone(url, use_case):
        evidence, plan = look(settings, url, use_case, options)
        decision = decide(evidence)
        if not if_needed and decision.decision != "retrain":
            asked = f"{person()} asked for it."
            decision = Decision(decision="retrain", reasons=[asked, *decision.reasons])
        about: dict[str, Any] = {
            "use_case": use_case,
            "reasons": decision.reasons,
            "evidence": evidence.model_dump(mode="json"),
            "decided_by": person(),
        }
        if decision.decision == "nothing":
            return Retrained(decisions.note_nothing(url, **about), decision, evidence, plan)
        number = decisions.begin(url, decision=decision.decision, **about)
        done = Retrained(number, decision, evidence, plan)
        with _recorded(url, number) as result:
            if decision.decision == "retrain":
                trained = train(_split(plan))
                result["training"] = _of_training(trained)
                done = replace(done, trained=trained)
            if (version := _to_release(done)) is not None:
                why = f"decision {number}: {decision.reasons[0]}"
                outcome = release(use_case, str(version), why=why).outcome
                result["release"] = outcome.model_dump(mode="json")
                done = replace(done, released=outcome)
        return done


def look(settings: Settings, url: str, use_case: str, options: Options) -> tuple[Evidence, Plan]:
    """Everything that is decided upon, and the training that could be made now; it has no cutoff yet.

    Raises:
        UsageError: an option makes no sense for the use case.
        DataError: there are no data files, or they cannot be read.
    """
    import usecases
    from db import decisions
    from monitoring.decision import Attempt, Evidence
    from tracking import registry
    from training import plan as plans

    champion = registry.champion(use_case)
    provenance = registry.provenance(champion) if champion else None
    last = decisions.history(url, use_case, limit=1)
    known = dict(last[0].evidence.get("lie", {})) if last else {}
    plan = plans.make(
        usecases.load(use_case),
        downloads=settings.home / "downloads",
        source=options.source or (provenance["plan"]["source"] if provenance else None),
        newest=options.window,
        candidates=options.candidates,
        trials=options.trials,
        seed=options.seed,
        must_be="better",
        known=known,
    )
    digests = set(plan.fingerprint.data.values())
    attempt = _name(plan, champion)
    serving = _serving(url, use_case)
    return Evidence(
        use_case=use_case,
        champion=_champion(url, champion, provenance) if champion and provenance else None,
        serving=serving,
        source=plan.source,
        window=options.window,
        files=plan.fingerprint.data,
        lie={lies: digest for lies, digest in known.items() if digest in digests},
        made_with=_made_with(plan.fingerprint.model_dump()),
        attempt=attempt,
        earlier=[
            Attempt(decision=each.id, status=each.status, reason=_reason(each))
            for each in _earlier(url, use_case, attempt)
        ],
        check=_check(url, use_case, serving),
    ), plan


def _split(plan: Plan) -> Plan:
    """The plan with the day from which on its rows are judged by."""
    import usecases
    from training.window import cutoff
    from usecases.files import path

    day = cutoff(usecases.load(plan.use_case), path(plan.files[-1]))
    return plan.model_copy(update={"cutoff": day})


def _to_release(done: Retrained) -> int | None:
    """The version that is to be released: a new champion, or one that never was."""
    if done.trained is not None and done.trained.promotion.promoted:
        return done.trained.promotion.version
    champion = done.evidence.champion
    return champion.version if champion is not None and not champion.released else None


@contextmanager
def _recorded(url: str, number: int) -> Iterator[dict[str, Any]]:
    """The result of a decision, which is on record however the block ends."""
    from db import decisions

    result: dict[str, Any] = {}
    try:
        yield result
    except Exception as error:
        decisions.end(url, number, "failed", result | {"error": f"{error}" or type(error).__name__})
        raise
    except BaseException:
        decisions.end(url, number, "abandoned", result | {"error": "it was interrupted", "interrupted": True})
        raise
    decisions.end(url, number, "done", result)


def _of_training(trained: Trained) -> dict[str, Any]:
    """What a record keeps of a training; the rest is in ZenML and in the registry."""
    promotion, evaluation = trained.promotion, trained.evaluation
    return {
        "version": promotion.version,
        "promoted": promotion.promoted,
        "stands": promotion.stands,
        "candidate": evaluation.candidate,
        "score": evaluation.scores.overall.value,
        "reference": evaluation.reference,
        "reference_score": evaluation.reference_scores.overall.value,
        "rows": evaluation.scores.overall.rows,
        "gates": [verdict.model_dump() for verdict in trained.judgement.verdicts],
        "run": trained.run.name,
    }


def _champion(url: str, version: Version, provenance: dict[str, Any]) -> Champion:
    import usecases
    from db import releases as record
    from monitoring.decision import Champion
    from monitoring.freshness import outdated
    from releases.local import TARGET

    of_it = [
        each
        for each in record.history(url, use_case=version.name, target=TARGET)
        if each.model_version == version.number
    ]
    ended_well = [each.status not in ("failed", "rolling_out") for each in of_it]
    failed = of_it[: ended_well.index(True) if True in ended_well else None]
    failed = [each for each in failed if each.status == "failed"]
    fingerprint = provenance["plan"]["fingerprint"]
    return Champion(
        version=version.number,
        trained_on=fingerprint["data"],
        made_with=_made_with(fingerprint),
        released=any(ended_well),
        failed_releases=len(failed),
        failure=failed[0].reason if failed else None,
        outdated=outdated(usecases.load(version.name), version.tags, datetime.now(UTC)),
    )


def _serving(url: str, use_case: str) -> Serving | None:
    from db import releases as record
    from monitoring.decision import Serving
    from releases.local import TARGET

    found = record.serving(url, use_case, TARGET)
    if found is None:
        return None
    return Serving(version=found.model_version, why=found.why, by=found.released_by)


def _check(url: str, use_case: str, serving: Serving | None) -> Checked | None:
    """The newest check that saw enough of what serves, else the newest."""
    from pydantic import ValidationError

    from db import checks
    from monitoring.check import Check
    from monitoring.decision import Checked

    version = serving.version if serving else None
    of_it = [each for each in checks.listed(url, use_case) if each.model_version == version]
    found = next((each for each in of_it if each.verdict != "too few rows"), of_it[0] if of_it else None)
    if found is None:
        return None
    try:
        return Checked(id=found.id, check=Check.model_validate(found.found))
    except ValidationError:
        # Of an earlier version of this code, which said it otherwise; the next check counts.
        return None


def _earlier(url: str, use_case: str, attempt: str) -> list[Recorded]:
    """Attempts at the same that say something of it: not those that a person broke off."""
    from db import decisions

    found = decisions.retrainings(url, use_case, attempt)
    return [each for each in found if not (each.result or {}).get("interrupted")]


def _reason(recorded: Recorded) -> str:
    result = recorded.result or {}
    if "error" in result:
        return str(result["error"]).splitlines()[0]
    training = result["training"]
    if training["stands"]:
        return f"the training gave version {training['version']} itself"
    return "; ".join(gate["reason"] for gate in training["gates"] if not gate["passed"])


def _name(plan: Plan, champion: Version | None) -> str:
    """A digest of everything that decides what a training gives and whom it has to beat."""
    what = plan.model_dump(mode="json", exclude={"source", "files", "cutoff"})
    del what["fingerprint"]["commit"]
    what["champion"] = champion.number if champion else None
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def _made_with(fingerprint: dict[str, Any]) -> dict[str, str]:
    return {part: fingerprint[part] for part in ("code", "lock", "python")}
