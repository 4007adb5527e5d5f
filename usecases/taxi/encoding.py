"""What other trips took: means per group and paths between zones, never of the row itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import KFold
from sklearn.utils.validation import check_is_fitted

from usecases.taxi.features import KEYS, NUMBERS
from usecases.taxi.geography import Geography, shortest_paths

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


class Experience:
    """What trips took: group means of duration, pace and distance, and the minutes between zones."""

    def __init__(self, X: pd.DataFrame, duration: Array) -> None:
        values = _values(X, duration)
        keys = {name: _PAIRS if name == "distance" else tuple(KEYS) for name in values}
        self.means = {
            f"{name} {key}": GroupMeans(X[key].to_numpy(), value)
            for name, value in values.items()
            for key in keys[name]
        }
        self.minutes = shortest_paths(X, duration)

    def __call__(self, X: pd.DataFrame) -> Array:
        """The means and minutes that fit to `X`, and by how much a trip is longer than its pair's mean."""
        means = {name: mean(X[name.split(" ")[1]].to_numpy()) for name, mean in self.means.items()}
        distance = X["distance"].to_numpy()
        excess = [distance - means[f"distance {key}"] for key in _PAIRS]
        minutes = self.minutes[X["pickup"].to_numpy(), X["dropoff"].to_numpy()]
        return np.column_stack([*means.values(), *excess, minutes])


class TripEncoder(TransformerMixin, BaseEstimator):
    """Feature frame → matrix: numbers, the experience of other trips, and zone geography.

    While fitting, a row gets the experience of the other folds, so that no row sees its own duration.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, X: pd.DataFrame, y: pd.Series) -> TripEncoder:
        """Learn from all rows."""
        self.experience_ = Experience(X, np.asarray(y, dtype=np.float64))
        self.geography_ = Geography().fit(X)
        return self

    def fit_transform(self, X: pd.DataFrame, y: pd.Series) -> Array:
        """Learn from all rows; give each row the experience of the other folds."""
        duration = np.asarray(y, dtype=np.float64)
        folds = list(KFold(FOLDS, shuffle=True, random_state=self.seed).split(X))
        parts = [Experience(X.iloc[inner], duration[inner])(X.iloc[outer]) for inner, outer in folds]
        order = np.argsort(np.concatenate([outer for _, outer in folds]))
        return self.fit(X, y)._matrix(X, np.concatenate(parts)[order])

    def transform(self, X: pd.DataFrame) -> Array:
        """The matrix of `X`, shape (rows, columns)."""
        check_is_fitted(self)
        return self._matrix(X, self.experience_(X))

    def _matrix(self, X: pd.DataFrame, experience: Array) -> Array:
        numbers = X[NUMBERS].to_numpy(dtype=np.float64)
        return np.column_stack([numbers, experience, self.geography_.columns(X)])


def _values(X: pd.DataFrame, duration: Array) -> dict[str, Array]:
    """What means are taken of: duration, pace (minutes per mile, tamed for short trips), distance."""
    distance = X["distance"].to_numpy()
    return {
        "duration": duration,
        "pace": np.minimum(duration / (np.maximum(distance, 0.3) + 0.5), 30.0),
        "distance": distance,
    }
