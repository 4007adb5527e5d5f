"""Where a model version comes from: kept beside it in the registry, in its Bento and at `/model`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import environment

if TYPE_CHECKING:
    from training.evaluation import Evaluation
    from training.plan import Plan
    from training.search import Result


def provenance(
    plan: Plan, evaluation: Evaluation, winner: Result, *, newest_row: datetime | None, zenml_run: str
) -> dict[str, Any]:
    """Everything that is needed to make the version again, and what it scored; JSON values."""
    fingerprint = plan.fingerprint
    return {
        "use_case": plan.use_case,
        "candidate": winner.candidate,
        "parameters": winner.parameters,
        "seed": plan.seed,
        "plan": plan.model_dump(mode="json"),
        "data": ", ".join(f"{name} {digest[:12]}" for name, digest in sorted(fingerprint.data.items())),
        "git_commit": fingerprint.commit,
        "code": fingerprint.code,
        "environment_lock": fingerprint.lock,
        "python": fingerprint.python,
        "libraries": environment.versions(environment.TRAINING),
        "zenml_run": zenml_run,
        "newest_row": newest_row.isoformat() if newest_row else None,
        "score": evaluation.scores.overall.value,
        "validation_rows": evaluation.scores.overall.rows,
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
