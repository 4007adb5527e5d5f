"""Features and candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from usecases.base import Candidate, Parameter, Trial


def features(rows: pd.DataFrame) -> pd.DataFrame:
    """Request columns → numbers, each row by itself; `rows` is not changed."""
    family = rows["SibSp"].to_numpy(dtype=np.float64) + rows["Parch"].to_numpy(dtype=np.float64) + 1
    fare = pd.to_numeric(rows["Fare"]).to_numpy(dtype=np.float64, na_value=np.nan)
    ticket_class = rows["Pclass"].to_numpy(dtype=np.float64)
    female = (rows["Sex"] == "female").to_numpy(dtype=np.float64)
    return pd.DataFrame(
        {
            "female": female,
            "class": ticket_class,
            "female_class": female * ticket_class,
            "age": pd.to_numeric(rows["Age"]).to_numpy(dtype=np.float64, na_value=np.nan),
            "family": family,
            "alone": (family == 1).astype(np.float64),
            "fare": fare,
            "fare_per_head": fare / family,
            "from_cherbourg": (rows["Embarked"] == "C").to_numpy(dtype=np.float64),
            "from_queenstown": (rows["Embarked"] == "Q").to_numpy(dtype=np.float64),
        }
    )


def baseline(parameters: Mapping[str, Any], seed: int) -> Pipeline:
    """Women first, by class: logistic regression on these two alone."""
    chosen = make_column_transformer(("passthrough", ["female", "class"]))
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
