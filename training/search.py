"""One candidate: search its hyperparameters, fit it, score it. Candidates are judged side by side
on the same validation rows; a search never sees those, it cross-validates within the training rows."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from training.evaluation import Scores, evaluate

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

    from usecases.base import Candidate, Parameter, UseCase

FOLDS = 3


class Result(BaseModel):
    """How one candidate did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidate: str
    parameters: dict[str, float | int | str | bool | None]
    trials: int
    scores: Scores
    """On the validation rows."""
    seconds: float
    """Search and fit together."""


class Comparison(BaseModel):
    """All candidates side by side on the same validation rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    results: list[Result]
    winner: str
    """The candidate with the best metric over all validation rows."""

    def result(self, candidate: str) -> Result:
        """What `candidate` reached."""
        return next(result for result in self.results if result.candidate == candidate)


def compare(use_case: UseCase, results: Sequence[Result]) -> Comparison:
    """Choose the winner; of equals the first."""
    sign = 1 if use_case.metric.direction == "minimize" else -1
    best = min(results, key=lambda result: sign * result.scores.overall.value)
    return Comparison(results=list(results), winner=best.candidate)


def compete(
    use_case: UseCase,
    candidate: Candidate,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    *,
    trials: int,
    seed: int,
) -> tuple[Pipeline, Result]:
    """Search, fit on `train` and score on `validation`.

    The first of `trials` is the candidate's defaults; one trial needs no search.
    """
    begin = time.perf_counter()
    parameters = search(use_case, candidate, train, trials=trials, seed=seed)
    model = fit(use_case, candidate, parameters, train, seed=seed)
    seconds = time.perf_counter() - begin
    return model, Result(
        candidate=candidate.name,
        parameters=parameters,
        trials=trials if candidate.space else 1,
        scores=evaluate(use_case, use_case.predict(model, validation), validation, train),
        seconds=seconds,
    )


def fit(
    use_case: UseCase,
    candidate: Candidate,
    parameters: Mapping[str, Parameter],
    train: pd.DataFrame,
    *,
    seed: int,
) -> Pipeline:
    """A fitted pipeline from request columns to predictions: the use case's features, then the estimator."""
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    model = Pipeline(
        [
            ("features", FunctionTransformer(use_case.features)),
            ("model", candidate.build(parameters, seed)),
        ]
    )
    return model.fit(train[use_case.request_columns], train[use_case.target])


def search(
    use_case: UseCase, candidate: Candidate, train: pd.DataFrame, *, trials: int, seed: int
) -> dict[str, Parameter]:
    """The best of `trials` sets of parameters by cross-validation within `train`; the defaults come first."""
    defaults = dict(candidate.defaults)
    if trials <= 1 or candidate.space is None:
        return defaults

    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = candidate.space
    study = optuna.create_study(
        direction=use_case.metric.direction, sampler=optuna.samplers.TPESampler(seed=seed)
    )
    study.enqueue_trial(defaults)

    def objective(trial: optuna.Trial) -> float:
        parameters = defaults | space(trial)
        trial.set_user_attr("parameters", parameters)
        return cross_validate(use_case, candidate, parameters, train, seed=seed)

    study.optimize(objective, n_trials=trials)
    best: dict[str, Any] = study.best_trial.user_attrs["parameters"]
    return best


def cross_validate(
    use_case: UseCase,
    candidate: Candidate,
    parameters: Mapping[str, Parameter],
    train: pd.DataFrame,
    *,
    seed: int,
) -> float:
    """The metric over out-of-fold predictions of all training rows."""
    from sklearn.model_selection import KFold

    predictions = np.empty(len(train))
    for inner, outer in KFold(FOLDS, shuffle=True, random_state=seed).split(train):
        model = fit(use_case, candidate, parameters, train.iloc[inner], seed=seed)
        predictions[outer] = use_case.predict(model, train.iloc[outer])
    return use_case.metric.score(train[use_case.target], predictions)
