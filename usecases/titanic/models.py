"""The candidates: who may become champion, with their defaults and search spaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from usecases.base import Candidate, Parameter, Trial


def baseline(parameters: Mapping[str, Any], seed: int) -> Pipeline:
    """Women first, by class: logistic regression on these two alone."""
    # The columns female and class, by number: what is compiled sees a matrix without names.
    chosen = make_column_transformer(("passthrough", [0, 1]))
    return make_pipeline(chosen, LogisticRegression(random_state=seed, **parameters))


def logistic(parameters: Mapping[str, Any], seed: int) -> Pipeline:
    """Logistic regression on everything, gaps filled with the median."""
    return make_pipeline(
        SimpleImputer(strategy="median"),
        StandardScaler(),
        LogisticRegression(random_state=seed, max_iter=1000, **parameters),
    )


def gradient_boosting(parameters: Mapping[str, Any], seed: int) -> HistGradientBoostingClassifier:
    """Gradient-boosted trees, which take gaps as they are."""
    return HistGradientBoostingClassifier(random_state=seed, early_stopping=False, **parameters)


def _boosting_space(trial: Trial) -> dict[str, Parameter]:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.2, log=True),
        "max_iter": trial.suggest_int("max_iter", 20, 200, step=10),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 3, 15),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 5, 50),
    }


CANDIDATES = [
    Candidate("baseline", baseline, about="sex and class, logistic regression"),
    Candidate(
        "logistic",
        logistic,
        defaults={"C": 0.3},
        space=lambda trial: {"C": trial.suggest_float("C", 1e-3, 10, log=True)},
        about="all features, logistic regression",
    ),
    Candidate(
        "gradient_boosting",
        gradient_boosting,
        defaults={"learning_rate": 0.05, "max_iter": 80, "max_leaf_nodes": 7, "min_samples_leaf": 20},
        space=_boosting_space,
        about="all features, gradient-boosted trees",
    ),
]
