"""How good predictions probably are where nothing came true yet, from the requests alone.

It holds only as long as the target depends on the features as it did (no concept drift), and, of
probabilities, as long as they are calibrated: it sees what a shift of the requests does to the metric, never
that the world answers otherwise. So it is worth a person's look and never asks for retraining by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitoring.check import Performance
from monitoring.performance import PREDICTION, TOLERANCE, Estimate, in_order, jackknife, score
from monitoring.shifts import ALPHA

if TYPE_CHECKING:
    import pandas as pd

    from usecases.base import Array, UseCase

_FOLDS = 5


def _root_mean(losses: Array) -> float:
    return float(np.sqrt(losses.mean()))


def _mean(losses: Array) -> float:
    return float(losses.mean())


def estimate(use_case: UseCase, before: pd.DataFrame, now: pd.DataFrame) -> Performance | None:
    """The metric over `now`, whose target is not needed; None for metrics other than rmse and log loss.

    `before` has the request columns, the target and `prediction`. The loss of each row is expected from its
    features; the promised metric is multiplied by the ratio of what is expected now and was before.
    """
    before, now = in_order(use_case, before), in_order(use_case, now)
    if (use_case.task, use_case.metric.name) == ("regression", "rmse"):
        (losses_before, *losses), mean = _squares(use_case, before, now), _root_mean
    elif (use_case.task, use_case.metric.name) == ("classification", "log_loss"):
        (losses_before, *losses), mean = [_entropies(before), _entropies(now)], _mean
    else:
        return None
    expected_before, expected = jackknife(mean, losses_before), jackknife(mean, np.mean(losses, axis=0))
    if not expected_before.value:
        return None
    by_model = np.array([mean(of_model) for of_model in losses])
    spread = (len(losses) - 1) * float(by_model.var())
    scale = use_case.metric.score(before[use_case.target], before[PREDICTION]) / expected_before.value
    promised = _scaled(expected_before, scale)
    estimated = _scaled(expected._replace(error=float(np.hypot(expected.error, np.sqrt(spread)))), scale)
    if len(losses) > 1:
        estimated = estimated._replace(freedom=len(losses) - 1)
    return Performance(
        metric=use_case.metric.name,
        unit=use_case.metric.unit,
        method="estimated",
        scores=[score(use_case.metric, "overall", len(now), promised, estimated, 1 + TOLERANCE, ALPHA)],
    )


def _scaled(one: Estimate, scale: float) -> Estimate:
    return Estimate(one.value * scale, one.error * scale, one.freedom)


def _squares(use_case: UseCase, before: pd.DataFrame, now: pd.DataFrame) -> list[Array]:
    """Squared errors that models expect, each fitted without a part of `before`: of `before`, by the one that
    has not seen the row, then of `now` by each of them."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.model_selection import KFold

    seen, new = (
        use_case.features(rows[use_case.request_columns]).assign(**{PREDICTION: rows[PREDICTION].to_numpy()})
        for rows in (before, now)
    )
    truth, predictions = (before[name].to_numpy(dtype=np.float64) for name in (use_case.target, PREDICTION))
    losses = (truth - predictions) ** 2
    if not losses.any():
        return [losses, np.zeros(len(now))]
    expected, ahead = np.empty(len(seen)), []
    for inner, outer in KFold(_FOLDS, shuffle=True, random_state=0).split(seen):
        # Poisson's deviance keeps what is expected above 0, and right on average.
        model = HistGradientBoostingRegressor(
            loss="poisson", max_iter=60, max_leaf_nodes=15, min_samples_leaf=50, early_stopping=False
        ).fit(seen.iloc[inner], losses[inner])
        expected[outer] = model.predict(seen.iloc[outer])
        ahead.append(model.predict(new))
    return [expected, *ahead]


def _entropies(rows: pd.DataFrame) -> Array:
    """The log loss that probabilities expect of themselves, were they right."""
    probabilities = np.clip(rows[PREDICTION].to_numpy(dtype=np.float64), 1e-15, 1 - 1e-15)
    entropies: Array = -probabilities * np.log(probabilities) - (1 - probabilities) * np.log1p(-probabilities)
    return entropies
