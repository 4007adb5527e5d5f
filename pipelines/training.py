"""Train: ingest → validate → clean → split → compete (a step per candidate) → select → evaluate →
explain → register → gate → promote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.run import Run, run

if TYPE_CHECKING:
    from training.evaluation import Evaluation
    from training.gates import Judgement
    from training.plan import Plan
    from training.promotion import Promotion
    from training.search import Comparison


@dataclass(frozen=True)
class Trained:
    """What a training run found and did."""

    run: Run
    rows: int
    dropped: Mapping[str, int]
    comparison: Comparison
    evaluation: Evaluation
    judgement: Judgement
    promotion: Promotion


def train(plan: Plan) -> Trained:
    """Run the training pipeline of `plan` against the present champion.

    Raises:
        DataError: the data break the use case's contract.
        ModelyardError: a step failed.
    """
    from tracking import registry

    champion = registry.champion(plan.use_case)
    finished = run(
        f"train_{plan.use_case}",
        training,
        {"plan": plan.model_dump(mode="json"), "champion": champion.number if champion else None},
    )
    return Trained(
        run=finished,
        rows=finished.output("validate", "rows"),
        dropped=finished.output("clean", "dropped"),
        comparison=finished.output("select", "comparison"),
        evaluation=finished.output("evaluate", "evaluation"),
        judgement=finished.output("gate", "judgement"),
        promotion=finished.output("promote", "promotion"),
    )


def training(plan: dict[str, Any], champion: int | None) -> None:
    """The steps of a training, in their order."""
    from steps import training as model

    name, seed = plan["use_case"], plan["seed"]
    train, validation = rows_of(plan)
    competed = [
        model.compete(name, candidate, train, validation, plan["trials"], seed, id=f"compete_{candidate}")
        for candidate in plan["candidates"]
    ]
    best, comparison = model.select(
        name, [fitted for fitted, _ in competed], [result for _, result in competed]
    )
    evaluation = model.evaluate(name, comparison, train, validation, champion)
    model.explain(name, best, validation, seed)
    version = model.register(plan, best, evaluation, comparison, validation)
    judgement = model.gate(name, evaluation)
    model.promote(name, version, judgement)


def rows_of(plan: dict[str, Any], purpose: str = "train") -> tuple[Any, Any]:
    """The steps from data files to training and validation rows; returns their two artifacts.

    Another `purpose` shares no cache with trainings: otherwise the rows that it read anew would replace
    the cached ones, and with them everything that a training computed from those.
    """
    from steps import data

    name, fingerprint = plan["use_case"], plan["fingerprint"]
    made_with = {part: fingerprint[part] for part in ("code", "lock", "python")}
    made_with["purpose"] = purpose
    raw = data.ingest(name, plan["files"], fingerprint["data"], made_with)
    data.validate(name, raw)
    clean, _ = data.clean(name, raw, after="validate")
    train, validation = data.split(name, clean, plan["cutoff"], plan["seed"])
    return train, validation
