"""Whether one model is better than another beyond chance: a paired test on the same rows, for any metric."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import pandas as pd

    from usecases.base import Array, Metric, UseCase

Rows = npt.NDArray[np.intp]

SAMPLES = 1_000
LEVEL = 0.95


class Difference(BaseModel):
    """The challenger's metric beside the champion's: below 0 it is better, whichever way the metric goes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    error: float | None
    """Standard error; None where there is nothing to tell it from."""
    upper: float | None
    """The difference is below this in 95 of 100 samples; None: it may be anything."""
    blocks: int
    """What was drawn from: so many days, or rows."""
    of: Literal["days", "rows"]
    samples: int

    @property
    def better(self) -> bool:
        """Whether the challenger is better by more than chance explains."""
        return self.upper is not None and self.upper < 0


def of_rows(use_case: UseCase, rows: pd.DataFrame, challenger: Array, champion: Array) -> Difference:
    """The difference of both models' predictions of `rows`; rows of one day stand or fall together."""
    days = None if use_case.moment is None else rows[use_case.moment].dt.floor("D").to_numpy()
    truth = rows[use_case.target].to_numpy(dtype=float)
    return paired(use_case.metric, truth, challenger, champion, days)


def paired(
    metric: Metric,
    truth: Array,
    challenger: Array,
    champion: Array,
    days: npt.NDArray[Any] | None = None,
    *,
    samples: int = SAMPLES,
    seed: int = 42,
) -> Difference:
    """Bootstrap the difference of the metric, drawing both models' answers to a row together.

    Days are drawn whole: errors of one day resemble each other, and rows drawn one by one would make the
    interval too narrow. The interval is Student's around what the bootstrap says of the standard error,
    with a degree of freedom less than blocks: a handful of days then promise no more than they know, which
    percentiles of the samples do.
    """
    from scipy.stats import t

    labels = np.arange(len(truth)) if days is None else np.unique(days, return_inverse=True)[1]
    order = np.argsort(labels, kind="stable")
    blocks = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    sign = 1 if metric.direction == "minimize" else -1

    def difference(chosen: Rows) -> float:
        own, champions = (metric.score(truth[chosen], model[chosen]) for model in (challenger, champion))
        return sign * (own - champions)

    found = difference(order)
    error = _error(blocks, difference, samples, seed)
    freedom = len(blocks) - 1
    return Difference(
        value=found,
        error=error,
        upper=None if error is None else found + float(t.ppf(LEVEL, freedom)) * error,
        blocks=len(blocks),
        of="rows" if days is None else "days",
        samples=samples,
    )


def _error(blocks: list[Rows], difference: Callable[[Rows], float], samples: int, seed: int) -> float | None:
    """The bootstrap's standard error, without the bias that few blocks give it."""
    count = len(blocks)
    if count < 2:
        return None
    rng = np.random.default_rng(seed)
    alone = np.concatenate(blocks) if all(len(block) == 1 for block in blocks) else None
    drawn = []
    for _ in range(samples):
        numbers = rng.integers(count, size=count)
        chosen = np.concatenate([blocks[number] for number in numbers]) if alone is None else alone[numbers]
        try:
            drawn.append(difference(chosen))
        except ValueError:
            # Such as only one class in the sample: the metric means nothing there.
            return None
    error = float(np.std(drawn, ddof=1)) * math.sqrt(count / (count - 1))
    return error if math.isfinite(error) else None
