"""Whether a model may become champion: the use case's gates, each with its verdict in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from training.difference import Difference
    from training.evaluation import Evaluation
    from usecases.base import UseCase


class Verdict(BaseModel):
    """What one gate said."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gate: str
    passed: bool
    reason: str


class Judgement(BaseModel):
    """All gates' verdicts on one model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdicts: list[Verdict]

    @property
    def passed(self) -> bool:
        """Whether the model may become champion."""
        return all(verdict.passed for verdict in self.verdicts)


def judge(use_case: UseCase, evaluation: Evaluation, difference: Difference | None = None) -> Judgement:
    """Every gate's verdict.

    Given the `difference` to the champion, the model must be better than that beyond chance; without, it must
    not be worse by more than the use case tolerates.
    """
    verdicts = [_bound(use_case, evaluation)]
    if difference is not None:
        verdicts.append(_better(use_case, evaluation, difference))
    elif evaluation.champion is not None:
        verdicts.append(_champion(use_case, evaluation))
    return Judgement(verdicts=[*verdicts, _slices(use_case, evaluation)])


def _bound(use_case: UseCase, evaluation: Evaluation) -> Verdict:
    metric, bound = use_case.metric, use_case.gates.bound
    value = evaluation.scores.overall.value
    relation = "at most" if metric.direction == "minimize" else "at least"
    return Verdict(
        gate="bound",
        passed=value == bound or metric.better(value, bound),
        reason=f"{metric.name} {value:.4g} {metric.unit}".rstrip() + f", must be {relation} {bound:g}",
    )


def _champion(use_case: UseCase, evaluation: Evaluation) -> Verdict:
    tolerance = use_case.gates.champion_tolerance
    ratio = use_case.metric.ratio(evaluation.scores.overall.value, evaluation.reference_scores.overall.value)
    return Verdict(
        gate="champion",
        passed=ratio <= 1 + tolerance,
        reason=f"{_beside(use_case, evaluation)}: {ratio:.3f} times as bad, "
        f"must be at most {1 + tolerance:.3f}",
    )


def _better(use_case: UseCase, evaluation: Evaluation, difference: Difference) -> Verdict:
    drawn = f"{difference.samples:,} samples of {difference.blocks:,} {difference.of}"
    if difference.upper is None:
        how = f", {drawn} cannot tell it from chance, must be better"
    else:
        how = (
            f": by {difference.value:+.4g}, in 95 of 100 samples below {difference.upper:+.4g} ({drawn}), "
            "must be below 0"
        )
    verdict = "better beyond chance" if difference.better else "not better beyond chance"
    return Verdict(
        gate="champion",
        passed=difference.better,
        reason=f"{_beside(use_case, evaluation)}{how}: {verdict}",
    )


def _beside(use_case: UseCase, evaluation: Evaluation) -> str:
    own, champions = (scores.overall.value for scores in (evaluation.scores, evaluation.reference_scores))
    return f"{use_case.metric.name} {own:.4g} beside the champion's {champions:.4g} on the same rows"


def _slices(use_case: UseCase, evaluation: Evaluation) -> Verdict:
    gates, metric = use_case.gates, use_case.metric
    ratios = {
        (name, value): metric.ratio(score.value, evaluation.reference_scores.slices[name][value].value)
        for name, values in evaluation.scores.slices.items()
        for value, score in values.items()
        if score.rows >= gates.slice_min_rows
    }
    if not ratios:
        return Verdict(
            gate="slices",
            passed=True,
            reason=f"no slice has the {gates.slice_min_rows} rows that a verdict needs",
        )
    (name, value), worst = max(ratios.items(), key=lambda item: item[1])
    return Verdict(
        gate="slices",
        passed=worst <= gates.slice_ratio,
        reason=f"worst of {len(ratios)} slices beside {evaluation.reference}: {name} {value} is "
        f"{worst:.3f} times as bad, must be at most {gates.slice_ratio:g}",
    )
