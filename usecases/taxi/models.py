"""The candidates: who may become champion, with their defaults and search spaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor, VotingRegressor
from sklearn.feature_extraction import DictVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from usecases.arithmetic import Lookup
from usecases.base import Candidate, Parameter, Parts, Trial
from usecases.taxi.cleaning import MAX_MINUTES, MIN_MINUTES
from usecases.taxi.encoder import TripEncoder
from usecases.taxi.encoding import encode, encode_pair

MEMBERS = 3
"""Of the mean of gradient-boosted trees: the first few bring most of the gain."""


class PairVectorizer(TransformerMixin, BaseEstimator):
    """One-hot of the pair of zones beside the distance: the reference system's feature set."""

    def fit(self, X: pd.DataFrame, y: Any = None) -> PairVectorizer:
        """Learn the pairs there are."""
        self.vectorizer_ = DictVectorizer().fit(_records(X))
        return self

    def transform(self, X: pd.DataFrame) -> sparse.csr_matrix:
        """Sparse matrix of shape (rows, pairs + 1); a pair that was not learnt is all zeros.

        Indices are 32 bits wide: DictVectorizer's have 64, which Lasso's and LinearSVR's solvers refuse.
        """
        matrix = self.vectorizer_.transform(_records(X))
        matrix.indices = matrix.indices.astype(np.int32)
        matrix.indptr = matrix.indptr.astype(np.int32)
        return matrix


def _records(X: pd.DataFrame) -> list[dict[str, str | float]]:
    pairs = X["pickup"].astype(str) + "_" + X["dropoff"].astype(str)
    return [
        {"PU_DO": pair, "trip_distance": miles}
        for pair, miles in zip(pairs.tolist(), X["miles"].tolist(), strict=True)
    ]


def baseline(parameters: Mapping[str, Any], seed: int) -> Pipeline:
    """Linear regression on the reference system's features."""
    return make_pipeline(PairVectorizer(), LinearRegression(**parameters))


def ridge(parameters: Mapping[str, Any], seed: int) -> Pipeline:
    """Ridge regression on the encoded features, missing numbers taken for 0."""
    return make_pipeline(
        TripEncoder(seed=seed),
        SimpleImputer(strategy="constant", fill_value=0.0, keep_empty_features=True),
        StandardScaler(),
        _within_the_rule(Ridge(**parameters)),
    )


def gradient_boosting(parameters: Mapping[str, Any], seed: int) -> Pipeline:
    """The mean of `MEMBERS` ensembles of gradient-boosted trees, on the encoded features.

    They differ in the seed by which each split draws the features to choose from: their errors partly cancel.
    """
    members = [
        (f"member_{number}", HistGradientBoostingRegressor(random_state=seed + number, **parameters))
        for number in range(MEMBERS)
    ]
    return make_pipeline(TripEncoder(seed=seed), _within_the_rule(VotingRegressor(members)))


def clip(minutes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Durations within the cleaning rule: no trip that a model learnt from was outside."""
    return np.clip(minutes, MIN_MINUTES, MAX_MINUTES)


def _within_the_rule(regressor: Any) -> TransformedTargetRegressor:
    return TransformedTargetRegressor(regressor, func=clip, inverse_func=clip, check_inverse=False)


def _encoded_parts(fitted: Pipeline) -> Parts:
    encoder, *between, target = (step for _, step in fitted.steps)
    estimator = make_pipeline(*between, target.regressor_)
    return Parts(encode, encoder.tables(), estimator, (MIN_MINUTES, MAX_MINUTES))


def _baseline_parts(fitted: Pipeline) -> Parts:
    """The weight of each pair as a table, so that the estimator has two columns instead of thousands."""
    vectorizer, linear = fitted[0].vectorizer_, fitted[1]
    weights = dict(zip(vectorizer.get_feature_names_out(), linear.coef_, strict=True))
    per_mile = weights.pop("trip_distance")
    pairs = {}
    for name, weight in weights.items():
        pickup, dropoff = name.removeprefix("PU_DO=").split("_")
        pairs[int(pickup) * 1000 + int(dropoff)] = weight
    keys = np.array(sorted(pairs), dtype=np.int64)
    values = np.array([*(pairs[key] for key in keys), 0.0])
    sum_of_both = LinearRegression()
    sum_of_both.coef_, sum_of_both.intercept_ = np.array([1.0, per_mile]), linear.intercept_
    sum_of_both.n_features_in_ = 2
    return Parts(encode_pair, {"pair": Lookup(keys, values[:, None])}, sum_of_both)


def _boosting_space(trial: Trial) -> dict[str, Parameter]:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.04, 0.16, log=True),
        "max_iter": trial.suggest_int("max_iter", 40, 200, step=20),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 31, 255, log=True),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 10, 100, log=True),
        "l2_regularization": trial.suggest_float("l2_regularization", 1e-2, 100, log=True),
        "max_features": trial.suggest_float("max_features", 0.1, 1.0),
    }


CANDIDATES = [
    Candidate(
        "baseline",
        baseline,
        about="one-hot zone pairs and distance, linear regression",
        parts=_baseline_parts,
    ),
    Candidate(
        "ridge",
        ridge,
        defaults={"alpha": 10.0},
        space=lambda trial: {"alpha": trial.suggest_float("alpha", 1e-2, 1e4, log=True)},
        about="group means, paths and zone geography, ridge regression",
        parts=_encoded_parts,
    ),
    Candidate(
        "gradient_boosting",
        gradient_boosting,
        defaults={
            "learning_rate": 0.08,
            "max_iter": 140,
            "max_leaf_nodes": 191,
            "min_samples_leaf": 20,
            "l2_regularization": 20.0,
            "max_features": 0.15,
        },
        space=_boosting_space,
        about="group means, paths and zone geography, mean of three gradient-boosted ensembles",
        parts=_encoded_parts,
    ),
]
