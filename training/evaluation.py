"""How good predictions are: over all rows, per slice, and beside another model on the same rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import pandas as pd

    from usecases.base import Array, UseCase


class Score(BaseModel):
    """The metric over some rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    rows: int


class Scores(BaseModel):
    """The metric over all rows, and over each value of each slice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    overall: Score
    slices: dict[str, dict[str, Score]]


class Evaluation(BaseModel):
    """A model's scores beside those of what it must not fall behind, on the same validation rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidate: str
    scores: Scores
    reference: str
    """`champion <version>`, or the baseline's name while there is no champion."""
    reference_scores: Scores
    champion: int | None
    """Version of the champion that it was compared with."""


def evaluate(use_case: UseCase, predictions: Array, rows: pd.DataFrame, train: pd.DataFrame) -> Scores:
    """Score `predictions` of `rows` overall and per slice of the use case."""
    truth = rows[use_case.target].to_numpy(dtype=float)
    slices: dict[str, dict[str, Score]] = {}
    for name, label in use_case.slices.items():
        labels = label(rows, train).astype(str).to_numpy()
        slices[name] = {
            value: _score(use_case, truth[labels == value], predictions[labels == value])
            for value in sorted(set(labels))
        }
    return Scores(overall=_score(use_case, truth, predictions), slices=slices)


def _score(use_case: UseCase, truth: Array, predictions: Array) -> Score:
    return Score(value=float(use_case.metric.score(truth, predictions)), rows=len(truth))
