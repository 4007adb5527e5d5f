"""Everything that is decided upon about a use case's model, and the training that could be made now."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from db.decisions import Recorded
    from db.recorded import Recorded as Release
    from monitoring.decision import Champion, Checked, Decision, Evidence, Serving
    from monitoring.ledger import Ledger
    from tracking.registry import Version
    from training.evaluation import Evaluation
    from training.gates import Judgement
    from training.plan import Plan
    from training.promotion import Promotion

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


def look(
    ledger: Ledger, target: str, downloads: Path, use_case: str, options: Options
) -> tuple[Evidence, Plan]:
    """Everything that is decided upon, and the training that could be made now; it has no cutoff yet.

    `target` is where releases count.

    Raises:
        UsageError: an option makes no sense for the use case.
        DataError: there are no data files, or they cannot be read.
    """
    import usecases
    from monitoring.decision import Attempt, Evidence
    from tracking import registry
    from training import plan as plans

    champion = registry.champion(use_case)
    provenance = registry.provenance(champion) if champion else None
    last = ledger.decisions(use_case, limit=1)
    known = dict(last[0].evidence.get("lie", {})) if last else {}
    plan = plans.make(
        usecases.load(use_case),
        downloads=downloads,
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
    releases = ledger.releases(use_case, target)
    serving = _serving(releases)
    return Evidence(
        use_case=use_case,
        champion=_champion(releases, champion, provenance) if champion and provenance else None,
        serving=serving,
        source=plan.source,
        window=options.window,
        files=plan.fingerprint.data,
        lie={lies: digest for lies, digest in known.items() if digest in digests},
        made_with=_made_with(plan.fingerprint.model_dump()),
        attempt=attempt,
        earlier=[
            Attempt(decision=each.id, status=each.status, reason=_reason(each))
            for each in _earlier(ledger, use_case, attempt)
        ],
        check=_check(ledger, use_case, serving),
    ), plan


def decided(
    ledger: Ledger, evidence: Evidence, by: str, *, if_needed: bool, run: str | None = None
) -> tuple[Decision, int]:
    """What to do, and the number under which it is on record, on behalf of `by`.

    Without `if_needed` a new model is to be trained in any case.

    Raises:
        DatabaseError: another decision is under way.
    """
    from monitoring.decision import Decision, decide

    decision = decide(evidence)
    if not if_needed and decision.decision != "retrain":
        decision = Decision(decision="retrain", reasons=[f"{by} asked for it.", *decision.reasons])
    about = {
        "use_case": evidence.use_case,
        "reasons": decision.reasons,
        "evidence": evidence.model_dump(mode="json"),
        "decided_by": by,
    }
    return decision, ledger.note(decision.decision, about, run)


def split(plan: Plan) -> Plan:
    """The plan with the day from which on its rows are judged by."""
    import usecases
    from training.window import cutoff
    from usecases.files import path

    day = cutoff(usecases.load(plan.use_case), path(plan.files[-1]))
    return plan.model_copy(update={"cutoff": day})


def to_release(evidence: Evidence, promotion: Promotion | None) -> int | None:
    """The version that is to be released: a new champion, or one that never was."""
    if promotion is not None and promotion.promoted:
        return promotion.version
    champion = evidence.champion
    return champion.version if champion is not None and not champion.released else None


def of_training(
    promotion: Promotion, evaluation: Evaluation, judgement: Judgement, run: str
) -> dict[str, Any]:
    """What a record keeps of a training; the rest is in ZenML and in the registry."""
    return {
        "version": promotion.version,
        "promoted": promotion.promoted,
        "stands": promotion.stands,
        "candidate": evaluation.candidate,
        "score": evaluation.scores.overall.value,
        "reference": evaluation.reference,
        "reference_score": evaluation.reference_scores.overall.value,
        "rows": evaluation.scores.overall.rows,
        "gates": [verdict.model_dump() for verdict in judgement.verdicts],
        "run": run,
    }


def _champion(releases: Sequence[Release], version: Version, provenance: dict[str, Any]) -> Champion:
    import usecases
    from monitoring.decision import Champion
    from monitoring.freshness import outdated

    of_it = [each for each in releases if each.model_version == version.number]
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


def _serving(releases: Sequence[Release]) -> Serving | None:
    from monitoring.decision import Serving

    found = next((each for each in releases if each.status == "serving"), None)
    if found is None:
        return None
    return Serving(version=found.model_version, why=found.why, by=found.released_by)


def _check(ledger: Ledger, use_case: str, serving: Serving | None) -> Checked | None:
    """The newest check that saw enough of what serves, else the newest."""
    from pydantic import ValidationError

    from monitoring.check import Check
    from monitoring.decision import Checked

    version = serving.version if serving else None
    of_it = [each for each in ledger.checks(use_case) if each.model_version == version]
    found = next((each for each in of_it if each.verdict != "too few rows"), of_it[0] if of_it else None)
    if found is None:
        return None
    try:
        return Checked(id=found.id, check=Check.model_validate(found.found))
    except ValidationError:
        # Of an earlier version of this code, which said it otherwise; the next check counts.
        return None


def _earlier(ledger: Ledger, use_case: str, attempt: str) -> list[Recorded]:
    """Attempts at the same that say something of it: not those that a person broke off."""
    found = ledger.retrainings(use_case, attempt)
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
