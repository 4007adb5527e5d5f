"""Means per group of trips, learnt without looking at the row itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import KFold
from sklearn.utils.validation import check_is_fitted

from usecases.taxi.features import KEYS, NUMBERS
from usecases.taxi.geography import Geography

FOLDS = 10
_PAIRS = ("pair", "unordered_pair")

Array = npt.NDArray[np.float64]


class GroupMeans:
    """Mean of a value per group, shrunk towards the mean of all rows where a group is small.

    Empirical Bayes (Micci-Barreca 2001, A preprocessing scheme for high-cardinality categorical
    attributes): mean = (sum + m·overall) / (count + m), with m the variance within the group over that of all
    rows, so that a noisy group needs more rows to be believed. Unknown groups get the overall mean.
    """

    def __init__(self, groups: npt.NDArray[np.int64], values: Array) -> None:
        self.overall = float(values.mean())
        self.groups, index = np.unique(groups, return_inverse=True)
        count = np.bincount(index).astype(np.float64)
        mean = np.bincount(index, values) / count
        within = np.bincount(index, (values - mean[index]) ** 2) / count
        m = within / max(float(values.var()), np.finfo(float).tiny)
        self.means = (mean * count + m * self.overall) / (count + m)

    def __call__(self, groups: npt.NDArray[np.int64]) -> Array:
        """Means of the groups, shape (n,)."""
        at = np.minimum(np.searchsorted(self.groups, groups), len(self.groups) - 1)
        return np.where(self.groups[at] == groups, self.means[at], self.overall)


class TripEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Feature frame → matrix: numbers, group means of duration, pace and distance, and zone geography.

    While fitting, the means of a row come from the other folds, so that no row sees its own duration.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, X: pd.DataFrame, y: pd.Series) -> TripEncoder:
        """Learn the means and the geography of all rows."""
        values = _values(X, np.asarray(y, dtype=np.float64))
        self.means_ = _learn(X, values)
        self.geography_ = Geography().fit(X)
        return self

    def fit_transform(self, X: pd.DataFrame, y: pd.Series) -> Array:  # type: ignore[override]
        """Learn from all rows; give each row the means that the other folds have."""
        values = _values(X, np.asarray(y, dtype=np.float64))
        self.fit(X, y)
        columns = {name: np.empty(len(X)) for name in self.means_}
        for inner, outer in KFold(FOLDS, shuffle=True, random_state=self.seed).split(X):
            learnt = _learn(X.iloc[inner], {name: value[inner] for name, value in values.items()})
            for name, means in learnt.items():
                columns[name][outer] = means(X[_key(name)].to_numpy()[outer])
        return self._matrix(X, columns)

    def transform(self, X: pd.DataFrame) -> Array:
        """The matrix of `X`, shape (rows, columns)."""
        check_is_fitted(self)
        return self._matrix(X, {name: means(X[_key(name)].to_numpy()) for name, means in self.means_.items()})

    def _matrix(self, X: pd.DataFrame, columns: dict[str, Array]) -> Array:
        distance = X["distance"].to_numpy()
        excess = [distance - columns[f"distance {key}"] for key in _PAIRS]
        return np.column_stack(
            [X[NUMBERS].to_numpy(dtype=np.float64), *columns.values(), *excess, self.geography_.columns(X)]
        )


def _values(X: pd.DataFrame, duration: Array) -> dict[str, Array]:
    """What means are taken of: duration, pace (minutes per mile, tamed for short trips), distance."""
    distance = X["distance"].to_numpy()
    return {
        "duration": duration,
        "pace": np.minimum(duration / (np.maximum(distance, 0.3) + 0.5), 30.0),
        "distance": distance,
    }


def _learn(X: pd.DataFrame, values: dict[str, Array]) -> dict[str, GroupMeans]:
    """`value key` → means of that value per group of that key."""
    keys = {name: _PAIRS if name == "distance" else tuple(KEYS) for name in values}
    return {
        f"{name} {key}": GroupMeans(X[key].to_numpy(), value)
        for name, value in values.items()
        for key in keys[name]
    }


def _key(name: str) -> str:
    return name.split(" ")[1]
