"""How far a column's distribution moved: a distance that samples of any size can be judged by, and its p.

docs/drift.md has the formulas, where they come from, and what they find in real data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import chi2, kstwo

if TYPE_CHECKING:
    from usecases.base import Array

ALPHA = 0.01
"""Probability that chance alone makes any column of a check seem to drift, were rows independent."""
TOLERATED = {"numeric": 0.05, "categorical": 0.08}
"""Distances that are no news. Weeks of green taxi trips differ from a month that ends with holidays by up to
0.04 in numbers and 0.06 in zones (docs/drift.md), which no test of independent rows expects: days differ."""
SHORT = 3.0
"""How many times as much is tolerated over less than a period of the use case's rhythm: single days differ
from a month by up to 0.10 in numbers and 0.20 in zones."""

_EXPECTED = 5
# Cochran's rule: below, the distribution of the test statistic is not that of chi².


class Apart(NamedTuple):
    """How far two samples are apart."""

    distance: float
    p: float
    """Of a single test; `holm` corrects many."""


def numeric(before: pd.Series, now: pd.Series) -> Apart:
    """Kolmogorov and Smirnov's test of two samples; missing values are left out."""
    a, b = numbers(before), numbers(now)
    if not len(a) or not len(b):
        return Apart(0.0, 1.0)
    together = np.sort(np.concatenate([a, b]))  # looked up in order, which is many times as fast
    shares = [np.searchsorted(np.sort(of), together, side="right") / len(of) for of in (a, b)]
    distance = float(np.abs(shares[0] - shares[1]).max())
    # As scipy.stats.ks_2samp approximates it, which divides by 0 where both samples are a single row.
    effective = max(1.0, np.round(len(a) * len(b) / len(together)))
    return Apart(distance, float(kstwo.sf(distance, effective)))


def numbers(column: pd.Series) -> Array:
    """Its values but those that are missing."""
    values: Array = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return values[~np.isnan(values)]


def categorical(before: pd.Series, now: pd.Series) -> Apart:
    """Pearson's chi² test, and the total variation beyond what sampling alone yields; missing is a value."""
    counts = pool(count(before, now).counts)
    if counts.shape[1] < 2:
        return Apart(0.0, 1.0)
    sizes = counts.sum(axis=1, keepdims=True)
    shares = counts.sum(axis=0) / sizes.sum()
    expected = sizes * shares
    statistic = float(((counts - expected) ** 2 / expected).sum())
    observed = float(np.abs(counts[0] / sizes[0] - counts[1] / sizes[1]).sum() / 2)
    # The mean of |a - b| where both shares are estimates of the same one: that of a folded normal.
    chance = float(np.sqrt(2 / np.pi * shares * (1 - shares) * (1 / sizes).sum()).sum() / 2)
    beyond = max(0.0, observed**2 - chance**2) / (1 - chance**2) if chance < 1 else 0.0
    return Apart(float(np.sqrt(beyond)), float(chi2.sf(statistic, counts.shape[1] - 1)))


class Counts(NamedTuple):
    """How often each value occurs before (first row) and now (second row)."""

    values: list[Any]
    counts: npt.NDArray[np.float64]


def count(before: pd.Series, now: pd.Series) -> Counts:
    """Values of either sample with their counts; all that is missing counts as one value, None."""
    together = pd.concat([before, now], ignore_index=True)
    codes, values = pd.factorize(together, use_na_sentinel=True)
    codes = np.where(codes < 0, len(values), codes)
    counted = [
        np.bincount(part, minlength=len(values) + 1) for part in (codes[: len(before)], codes[len(before) :])
    ]
    counts = np.array(counted, dtype=np.float64)
    names = [*list(values), None]
    there = counts.sum(axis=0) > 0
    return Counts([name for name, is_there in zip(names, there, strict=True) if is_there], counts[:, there])


def pool(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Values too rare for the test made one, with the rarest of the others where that is still too rare."""
    sizes = counts.sum(axis=1)
    if not sizes.all():
        return counts[:, :0]
    counts = counts[:, np.argsort(counts.sum(axis=0), kind="stable")]
    # Expected in the smaller sample, where both are drawn from the same.
    expected = counts.sum(axis=0) * sizes.min() / sizes.sum()
    rare = int((expected < _EXPECTED).sum())
    if rare and expected[:rare].sum() < _EXPECTED:
        rare += 1
    return np.column_stack([counts[:, :rare].sum(axis=1), counts[:, rare:]]) if rare else counts


def holm(ps: Sequence[float]) -> list[float]:
    """Each p corrected for all of them by Holm's step-down procedure, which needs no independence."""
    order = np.argsort(ps, kind="stable")
    steps = np.asarray(ps, dtype=np.float64)[order] * np.arange(len(ps), 0, -1)
    corrected = np.empty(len(ps))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return [float(p) for p in corrected]
