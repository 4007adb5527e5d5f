"""Train: ingest → validate → clean → split → compete (a step per candidate) → select → evaluate →
explain → register → gate → describe → promote. Where the winner must be better than the champion, they are
paired before the gate.

Many data files are read, validated and cleaned by a step each: prepare (a step per file) → gather → split → …
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.release import deploying
from pipelines.run import Run, run
from pipelines.start import start

if TYPE_CHECKING:
    from releases.outcome import Outcome
    from training.evaluation import Evaluation
    from training.gates import Judgement
    from training.plan import Plan
    from training.promotion import Promotion
    from training.search import Comparison

TOGETHER = 2
"""So many data files are read by one step; more of them by a step each."""


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
    released: Outcome | None = None


def train(plan: Plan, release_by: str | None = None, *, require_approval: bool = False) -> Trained:
    """Run the training pipeline of `plan` against the present champion.

    With `release_by`, somebody's name, a run in a cluster goes on to release the version that is champion;
    with `require_approval`, one that was approved.

    Raises:
        DataError: the data break the use case's contract.
        ModelyardError: a step failed.
    """
    from tracking import registry

    champion = registry.champion(plan.use_case)
    finished = run(
        f"train_{plan.use_case}",
        training,
        {
            "plan": plan.model_dump(mode="json"),
            "champion": champion.number if champion else None,
            "release_by": release_by,
            "require_approval": require_approval,
        },
    )
    return trained(finished, plan)


def trained(finished: Run, plan: Plan) -> Trained:
    """What the training of `plan` in a finished run found and did."""
    each = len(plan.files) > TOGETHER
    return Trained(
        run=finished,
        rows=finished.output("gather" if each else "validate", "rows"),
        dropped=finished.output("gather" if each else "clean", "dropped"),
        comparison=finished.output("select", "comparison"),
        evaluation=finished.output("evaluate", "evaluation"),
        judgement=finished.output("gate", "judgement"),
        promotion=finished.output("promote", "promotion"),
        released=finished.output("deploy", "outcome") if "deploy" in finished.response.steps else None,
    )


def training(
    plan: dict[str, Any],
    champion: int | None,
    release_by: str | None = None,
    require_approval: bool = False,
) -> None:
    """The steps of a training, in their order; in a cluster with those of a release, when one is wanted."""
    _, _, promotion = learning(plan, champion)
    if release_by is not None:
        made = promotion.load()
        if made.promoted or made.stands:
            why = "champion, after its training"
            deploying(plan["use_case"], made.version, why, release_by, None, require_approval)


def learning(plan: dict[str, Any], champion: int | None) -> tuple[Any, Any, Any]:
    """The steps from data to a judged version; returns artifacts: evaluation, judgement and promotion."""
    from steps import training as model

    name, seed = plan["use_case"], plan["seed"]
    train, validation = rows_of(plan)
    competed = [
        start(
            model.compete, name, candidate, train, validation, plan["trials"], seed, id=f"compete_{candidate}"
        )
        for candidate in plan["candidates"]
    ]
    best, comparison = model.select(
        name, [fitted for fitted, _ in competed], [result for _, result in competed]
    )
    evaluation = model.evaluate(name, comparison, train, validation, champion)
    _, importances = model.explain(name, best, validation, seed)
    version = model.register(plan, best, evaluation, comparison, validation)
    must_be_better = plan["must_be"] == "better" and champion is not None
    difference = model.pair(name, best, validation, champion) if must_be_better else None
    judgement = model.gate(name, evaluation, difference)
    model.describe(name, version, evaluation, judgement, importances)
    return evaluation, judgement, model.promote(name, version, judgement, champion)


def rows_of(plan: dict[str, Any], purpose: str = "train") -> tuple[Any, Any]:
    """The steps from data files to training and validation rows; returns their two artifacts.

    Another `purpose` shares no cache with trainings: otherwise the rows that it read anew would replace
    the cached ones, and with them everything that a training computed from those.
    """
    from steps import data

    name, files, fingerprint = plan["use_case"], plan["files"], plan["fingerprint"]
    made_with = {part: fingerprint[part] for part in ("code", "lock", "python")}
    made_with["purpose"] = purpose
    if len(files) > TOGETHER:
        prepared = [
            start(data.reading(data.prepare, [file]), name, digest, made_with, id=f"prepare_{label}")
            for label, file, digest in _each(files, fingerprint["data"])
        ]
        parts = (list(outputs) for outputs in zip(*prepared, strict=True))
        clean, _, _ = data.gather(name, *parts)
    else:
        raw = data.reading(data.ingest, files)(name, fingerprint["data"], made_with)
        checked = start(data.validate, name, raw)
        clean, _ = data.clean(name, raw, after=checked)
    train, validation = data.split(name, clean, plan["cutoff"], plan["seed"])
    return train, validation


def _each(files: Sequence[str], digests: Mapping[str, str]) -> Iterator[tuple[str, str, dict[str, str]]]:
    """What its step is called after, path, and name with digest of each data file."""
    from usecases.files import path

    paths = [path(file) for file in files]
    alone = len({path.stem for path in paths}) == len(paths)
    for file, at in zip(files, paths, strict=True):
        yield at.stem if alone else at.name, file, {at.name: digests[at.name]}
