"""What other trips took: means per group and paths between zones, never of the row itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import KFold
from sklearn.utils.validation import check_is_fitted

from usecases.arithmetic import MANY, Lookup, Tables
from usecases.base import columns
from usecases.taxi.encoding import PAIRS, matrix
from usecases.taxi.features import KEYS
from usecases.taxi.geography import Geography, shortest_paths

FOLDS = 10

Array = npt.NDArray[np.float64]


class GroupMeans:
    """Means of values per group, shrunk towards the mean of all rows where a group is small.

    Empirical Bayes (Micci-Barreca 2001, A preprocessing scheme for high-cardinality categorical
    attributes): mean = (sum + m·overall) / (count + m), with m the variance within the group over that of all
    rows, so that a noisy group needs more rows to be believed. Unknown groups get the overall mean.
    """

    def __init__(self, groups: npt.NDArray[np.int64], values: list[Array]) -> None:
        self.groups, index = np.unique(groups, return_inverse=True)
        count = np.bincount(index).astype(np.float64)
        self.means = np.column_stack([_shrunk(index, count, value) for value in values])

    def lookup(self) -> Lookup:
        """A column for each of the values."""
        return Lookup(self.groups, self.means)


def _shrunk(index: npt.NDArray[np.intp], count: Array, values: Array) -> Array:
    """The means of the groups, and after them that of all rows."""
    overall = float(values.mean())
    mean = np.bincount(index, values) / count
    within = np.bincount(index, (values - mean[index]) ** 2) / count
    m = within / max(float(values.var()), np.finfo(float).tiny)
    return np.append((mean * count + m * overall) / (count + m), overall)


class Experience:
    """What trips took: group means of duration, pace and distance, and the minutes between zones."""

    def __init__(self, X: pd.DataFrame, duration: Array) -> None:
        distance = X["distance"].to_numpy()
        # Minutes per mile, tamed for short trips.
        pace = np.minimum(duration / (np.maximum(distance, 0.3) + 0.5), 30.0)
        self.means = {
            key: GroupMeans(
                X[key].to_numpy(), [duration, pace, distance] if key in PAIRS else [duration, pace]
            )
            for key in KEYS
        }
        self.minutes = shortest_paths(X, duration)


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
        self.fit(X, y)
        duration = np.asarray(y, dtype=np.float64)
        folds = list(KFold(FOLDS, shuffle=True, random_state=self.seed).split(X))
        parts = [
            self._matrix(X.iloc[outer], Experience(X.iloc[inner], duration[inner])) for inner, outer in folds
        ]
        order = np.argsort(np.concatenate([outer for _, outer in folds]))
        together: Array = np.concatenate(parts)[order]
        return together

    def transform(self, X: pd.DataFrame) -> Array:
        """The matrix of `X`, shape (rows, columns)."""
        check_is_fitted(self)
        return self._matrix(X, self.experience_)

    def tables(self) -> Tables:
        """Everything learnt, for `encode`."""
        return self._tables(self.experience_)

    def _matrix(self, X: pd.DataFrame, experience: Experience) -> Array:
        return np.column_stack(matrix(MANY, columns(X), self._tables(experience)))

    def _tables(self, experience: Experience) -> Tables:
        return {
            **{key: means.lookup() for key, means in experience.means.items()},
            "minutes": experience.minutes,
            "miles": self.geography_.paths,
            "coordinates": self.geography_.coordinates,
        }
