"""Whether a model is better beyond chance: cases by hand, and how often the test is wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import log_loss, root_mean_squared_error

from tests.toy import rows, toy
from training.difference import of_rows, paired
from usecases.base import Metric, Rhythm

RMSE = Metric("rmse", root_mean_squared_error, "minimize")
Numbers = npt.NDArray[np.float64]


def errors(count: int, days: int, seed: int, of_day: float = 1.0) -> tuple[Numbers, npt.NDArray[Any]]:
    """Errors of a model, of which a part is shared by all rows of a day, and those days."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(days), count // days)
    return rng.normal(0, of_day, days)[labels] + rng.normal(0, 1, len(labels)), labels


def test_a_clearly_better_model_is_found_better_and_the_other_way_round_worse() -> None:
    truth = np.zeros(3000)
    champion, days = errors(3000, 30, seed=1)
    found = paired(RMSE, truth, champion * 0.8, champion, days)
    assert found.value == pytest.approx(-0.2 * root_mean_squared_error(truth, champion))
    assert found.upper is not None
    assert found.value < found.upper < 0
    assert (found.blocks, found.of, found.samples) == (30, "days", 1_000)
    assert not paired(RMSE, truth, champion, champion * 0.8, days).better


def test_a_model_is_not_better_than_itself() -> None:
    champion, days = errors(300, 10, seed=1)
    found = paired(RMSE, np.zeros(300), champion, champion, days)
    assert (found.value, found.error, found.upper) == (0, 0, 0)
    assert not found.better


def test_the_same_rows_give_the_same_answer() -> None:
    truth = np.zeros(300)
    (challenger, days), (champion, _) = errors(300, 10, seed=1), errors(300, 10, seed=2)
    assert paired(RMSE, truth, challenger, champion, days) == paired(RMSE, truth, challenger, champion, days)


def test_where_more_is_better_the_larger_score_is() -> None:
    share = Metric("right", lambda truth, found: float((truth == found).mean()), "maximize")
    truth = np.ones(400)
    half, most = np.arange(400) % 2.0, np.minimum(np.arange(400) % 10.0, 1)
    assert paired(share, truth, most, half).better
    assert not paired(share, truth, half, most).better


def test_any_metric_will_do_such_as_one_of_probabilities() -> None:
    rng = np.random.default_rng(0)
    chance = rng.uniform(0.05, 0.95, 600)
    truth = (rng.uniform(size=600) < chance).astype(float)
    loss = Metric("log_loss", log_loss, "minimize")
    assert paired(loss, truth, chance, np.full(600, truth.mean())).better


def test_one_day_can_prove_nothing() -> None:
    champion, days = errors(300, 1, seed=1)
    found = paired(RMSE, np.zeros(300), champion * 0.1, champion, days)
    assert (found.error, found.upper, found.better) == (None, None, False)


def test_rows_on_which_the_metric_means_nothing_can_prove_nothing() -> None:
    # Two rows of one class and one of the other: some samples have a single class.
    found = paired(
        Metric("log_loss", log_loss, "minimize"),
        np.array([0.0, 0.0, 1.0]),
        np.array([0.1, 0.1, 0.9]),
        np.array([0.5, 0.5, 0.5]),
    )
    assert (found.value < 0, found.better) == (True, False)


def test_days_are_taken_from_the_use_cases_moment_and_rows_stand_alone_without_one() -> None:
    frame = rows(240)
    frame["at"] = np.datetime64("2024-01-01") + np.arange(240) * np.timedelta64(1, "h")
    own, champion = frame["y"].to_numpy() + 0.1, frame["y"].to_numpy() + 0.2
    assert of_rows(toy(rhythm=Rhythm("at", timedelta(days=7))), frame, own, champion).blocks == 10
    found = of_rows(toy(), frame, own, champion)
    assert (found.blocks, found.of) == (240, "rows")


@pytest.mark.parametrize("days", [5, 20])
def test_of_two_models_that_are_equally_good_one_in_twenty_is_called_better(days: int) -> None:
    assert 0.02 < _called_better(days, whole_days=True) < 0.08


def test_rows_drawn_one_by_one_would_call_one_in_four_better() -> None:
    """Why days are drawn whole."""
    assert _called_better(10, whole_days=False) > 0.2


def _called_better(days: int, *, whole_days: bool, trials: int = 300) -> float:
    fast = Metric("rmse", lambda truth, found: float(np.sqrt(np.mean((truth - found) ** 2))), "minimize")
    truth = np.zeros(days * 20)
    found = 0
    for seed in range(trials):
        own, labels = errors(days * 20, days, seed=2 * seed)
        champion, _ = errors(days * 20, days, seed=2 * seed + 1)
        found += paired(fast, truth, own, champion, labels if whole_days else None, samples=100).better
    return found / trials
