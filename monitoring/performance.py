"""How good predictions were, on what came true, beside how good they were when the model was promoted."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import t

from monitoring.check import Performance, Score
from monitoring.shifts import ALPHA

if TYPE_CHECKING:
    from usecases.base import Array, Metric, UseCase

TOLERANCE = 0.05
"""Share by which the metric may be worse than promised: a model's weeks of green taxi trips
are up to 0.035 worse than the month that it was promoted on (docs/drift.md)."""
PREDICTION = "prediction"
"""Column of predictions in the frames that are compared, as in a version's validation rows."""

_BLOCKS = 20
_CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A metric with its standard error."""

    value: float
    error: float
    freedom: int
    """Of the error: blocks less one."""

    def interval(self) -> tuple[float, float]:
        """Holds the metric in 95 of 100 samples."""
        reach = float(t.isf((1 - _CONFIDENCE) / 2, self.freedom)) * self.error
        return self.value - reach, self.value + reach


def measure(use_case: UseCase, before: pd.DataFrame, known: pd.DataFrame) -> Performance | None:
    """The metric over `known` overall and by slice; None when it says nothing of these rows.

    Both frames have the request columns, the target and `prediction`. Slices that ask for training rows are
    given `before`; a slice is judged where both have enough rows, and where it has more than one value.
    """
    before, known = in_order(use_case, before), in_order(use_case, known)
    overall = _both(use_case, before, known)
    if overall is None:
        return None
    slices = {}
    for name, label in use_case.slices.items():
        labels_before, labels = (label(rows, before).astype(str).to_numpy() for rows in (before, known))
        values = sorted(set(labels_before))
        for value in values if len(values) > 1 else ():
            parts = before[labels_before == value], known[labels == value]
            if min(map(len, parts)) < use_case.gates.slice_min_rows:
                continue
            if both := _both(use_case, *parts):
                slices[f"{name}: {value}"] = (len(parts[1]), *both)
    return Performance(
        metric=use_case.metric.name,
        unit=use_case.metric.unit,
        method="outcomes",
        scores=[
            score(use_case.metric, "overall", len(known), *overall, 1 + TOLERANCE, ALPHA),
            *(
                # The slices' errors of the first kind together are as probable as the overall one's.
                score(use_case.metric, name, *slice_, use_case.gates.slice_ratio, ALPHA / len(slices))
                for name, slice_ in slices.items()
            ),
        ],
    )


def score(
    metric: Metric, name: str, rows: int, before: Estimate, now: Estimate, ratio: float, alpha: float
) -> Score:
    """The metric now beside before; worse when it is more than `ratio` times as bad, but for chance `alpha`.

    Both have errors: what was promised is itself an estimate from so many validation rows.
    """
    weight = ratio if metric.direction == "minimize" else 1 / ratio
    excess = now.value - weight * before.value
    if metric.direction == "maximize":
        excess = -excess
    error = float(np.hypot(now.error, weight * before.error))
    low, high = now.interval()
    return Score(
        name=name,
        rows=rows,
        value=now.value,
        low=low,
        high=high,
        promised=before.value,
        worse=excess > float(t.isf(alpha, min(now.freedom, before.freedom))) * error,
    )


def in_order(use_case: UseCase, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows by their moment, for neighbours to share a block; where there is none, well shuffled."""
    if use_case.rhythm is None:
        return rows.iloc[np.random.default_rng(0).permutation(len(rows))]
    return rows.sort_values(use_case.rhythm.moment, kind="stable")


def jackknife(statistic: Callable[..., float], *columns: npt.NDArray[Any]) -> Estimate:
    """A statistic of `columns`, and its error from leaving out one block of neighbouring rows at a time.

    It takes any statistic that is smooth in its rows, at the price of a call for each of 20 blocks; and rows
    that depend on their neighbours, as those of a day do, give the wider error that they should.
    """
    rows = len(columns[0])
    edges = _edges(rows)
    left_out = np.array(
        [
            statistic(*(np.concatenate([column[:start], column[stop:]]) for column in columns))
            for start, stop in pairwise(edges)
        ]
    )
    blocks = len(left_out)
    variance = (blocks - 1) / blocks * ((left_out - left_out.mean()) ** 2).sum()
    return Estimate(float(statistic(*columns)), float(np.sqrt(variance)), blocks - 1)


def _edges(rows: int) -> npt.NDArray[np.int64]:
    """Where blocks begin, and where the last one ends."""
    return np.linspace(0, rows, min(_BLOCKS, rows) + 1).astype(np.int64)


def _both(use_case: UseCase, before: pd.DataFrame, now: pd.DataFrame) -> tuple[Estimate, Estimate] | None:
    """The metric before and now; None where it is not defined, for lack of one of the classes."""
    found = [_estimate(use_case, rows) for rows in (before, now)]
    return None if found[0] is None or found[1] is None else (found[0], found[1])


def _estimate(use_case: UseCase, rows: pd.DataFrame) -> Estimate | None:
    truth: Array = rows[use_case.target].to_numpy(dtype=np.float64)
    if use_case.task == "classification":
        # Whichever block is left out, both classes must be left: without one, many metrics are undefined.
        for of_class in (truth == 0, truth == 1):
            if np.add.reduceat(of_class, _edges(len(truth))[:-1], dtype=int).max() == of_class.sum():
                return None
    return jackknife(use_case.metric.score, truth, rows[PREDICTION].to_numpy(dtype=np.float64))
