"""Intervals of the metric hold it as often as they say; worse is only what chance does not explain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from monitoring.estimation import estimate
from monitoring.performance import Estimate, jackknife, measure, score
from tests.toy import rows, toy
from usecases import load
from usecases.base import Metric

SAMPLES = 300


def rmse(truth: np.ndarray, predictions: np.ndarray) -> float:
    """As scikit-learn's, which takes its time."""
    return float(np.sqrt(np.mean((truth - predictions) ** 2)))


def covered(statistic, truth: float, draw) -> float:
    """In which share of samples the interval holds the true value."""
    found = [jackknife(statistic, *draw(np.random.default_rng(seed))).interval() for seed in range(SAMPLES)]
    return float(np.mean([low <= truth <= high for low, high in found]))


def test_the_interval_of_rmse_holds_it_in_95_of_100_samples() -> None:
    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        # Heavy tails, as durations have: the error's standard deviation is that of t with 8 degrees.
        return np.zeros(1000), rng.standard_t(8, 1000)

    assert 0.91 <= covered(rmse, np.sqrt(8 / 6), draw) <= 0.98


def test_the_interval_of_log_loss_holds_it_in_95_of_100_samples() -> None:
    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        p = rng.uniform(0.05, 0.95, 500)
        return (rng.random(500) < p).astype(float), p

    def loss(truth: np.ndarray, p: np.ndarray) -> float:
        return float(-np.log(np.where(truth == 1, p, 1 - p)).mean())

    grid = np.linspace(0.05, 0.95, 100_001)
    truth = float(np.mean(-grid * np.log(grid) - (1 - grid) * np.log(1 - grid)))
    assert 0.91 <= covered(loss, truth, draw) <= 0.98


def test_days_that_differ_make_the_interval_as_wide_as_they_should() -> None:
    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        # Twenty days of fifty rows; a day's rows share most of their error.
        days = np.repeat(rng.normal(size=20), 50)
        return np.zeros(1000), days + rng.normal(scale=0.5, size=1000)

    def shuffled(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        truth, predictions = draw(rng)
        return truth, rng.permutation(predictions)

    truth = np.sqrt(1.25)
    assert covered(rmse, truth, draw) >= 0.85
    assert covered(rmse, truth, shuffled) < 0.6, "what independent rows would have said"


def test_the_error_is_the_textbook_one_for_a_mean() -> None:
    values = np.random.default_rng(0).normal(size=2000)
    assert jackknife(np.mean, values).error == pytest.approx(values.std() / np.sqrt(2000), rel=0.4)
    # With a row a block it is the same to the last digit.
    assert jackknife(np.mean, values[:20]).error == pytest.approx(values[:20].std(ddof=1) / np.sqrt(20))


def predicted(count: int, seed: int, noise: float = 1.0) -> pd.DataFrame:
    frame = rows(count, seed)
    return frame.assign(
        prediction=frame["y"] + np.random.default_rng(seed + 1000).normal(scale=noise, size=count)
    )


@pytest.mark.parametrize("count", [300, 3000])
def test_a_model_as_good_as_promised_is_seldom_called_worse(count: int) -> None:
    worse = 0
    for seed in range(30):
        found = measure(toy(), predicted(1000, seed), predicted(count, seed + 500))
        assert found is not None
        worse += any(score.worse for score in found.scores)
    assert worse <= 1


def test_a_model_that_became_worse_is_called_so_overall_and_by_slice() -> None:
    found = measure(toy(), predicted(1000, 0), predicted(1000, 1, noise=1.5))
    assert found is not None
    assert [score.name for score in found.scores] == ["overall", "colour: blue", "colour: red"]
    assert all(score.worse for score in found.scores)
    assert found.overall.promised == pytest.approx(1, abs=0.1)


def test_a_metric_that_is_a_little_worse_than_promised_is_tolerated_however_many_rows_prove_it() -> None:
    before, now = Estimate(1.0, 0.001, 19), Estimate(1.04, 0.001, 19)
    metric = toy().metric
    assert not score(metric, "overall", 10_000, before, now, 1.05, 0.01).worse
    assert score(metric, "overall", 10_000, before, now, 1.03, 0.01).worse


@pytest.mark.parametrize(("now", "worse"), [(0.80, False), (0.78, False), (0.70, True), (0.95, False)])
def test_where_more_is_better_less_is_worse(now: float, worse: bool) -> None:
    metric = Metric("accuracy", lambda truth, predictions: 0.0, "maximize")
    found = score(metric, "overall", 1000, Estimate(0.8, 0.005, 19), Estimate(now, 0.005, 19), 1.05, 0.01)
    assert found.worse is worse


def test_what_was_promised_by_few_rows_is_held_to_less() -> None:
    metric, now = toy().metric, Estimate(1.2, 0.02, 19)
    assert score(metric, "overall", 1000, Estimate(1.0, 0.02, 19), now, 1.05, 0.01).worse
    assert not score(metric, "overall", 1000, Estimate(1.0, 0.2, 19), now, 1.05, 0.01).worse


def test_slices_that_are_too_small_or_say_nothing_are_left_out() -> None:
    seen = {
        "colour": lambda frame, train: frame["colour"],
        "seen": lambda frame, train: frame["x"].isin(train["x"]),
    }
    few = predicted(1000, 1)
    few["colour"] = np.where(np.arange(1000) < 19, "red", "blue")
    found = measure(toy(slices=seen), predicted(1000, 0), few)
    assert found is not None
    assert [score.name for score in found.scores] == ["overall", "colour: blue"]


def test_a_perfect_model_that_errs_is_worse_and_one_that_stays_perfect_is_not() -> None:
    perfect = rows(300).assign(prediction=lambda frame: frame["y"])
    for now, worse in ((perfect, False), (predicted(300, 1), True)):
        found = measure(toy(), perfect, now)
        assert found is not None
        assert found.overall.worse is worse


def passengers(count: int, seed: int) -> pd.DataFrame:
    """Passengers who survive as often as is predicted."""
    case = load("titanic")
    rng = np.random.default_rng(seed)
    there = case.clean(case.read(case.locate("sample", None, Path()))).frame
    frame = there.iloc[rng.integers(0, len(there), count)].reset_index(drop=True)
    p = np.where(frame["Sex"] == "female", 0.8, 0.2) * 0.9 + 0.05
    return frame.assign(prediction=p, Survived=(rng.random(count) < p).astype(int))


def test_a_classifier_is_judged_by_its_probabilities() -> None:
    now = passengers(1000, 1)
    by_chance = now.assign(Survived=np.arange(1000) % 2)
    for known, worse in ((now, False), (by_chance, True)):
        found = measure(load("titanic"), passengers(268, 0), known)
        assert found is not None
        assert found.metric == "log_loss"
        assert found.overall.worse is worse


def test_outcomes_of_one_class_alone_are_not_judged() -> None:
    assert measure(load("titanic"), passengers(268, 0), passengers(300, 1).assign(Survived=1)) is None


def test_harder_requests_are_expected_to_be_worse_before_any_outcome_came() -> None:
    def uneven(count: int, seed: int, least: float) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        frame = rows(count, seed).assign(x=rng.uniform(least, 10, count))
        # The larger x, the further off.
        return frame.assign(y=2 * frame["x"], prediction=2 * frame["x"] + rng.normal(size=count) * frame["x"])

    before = uneven(3000, 0, 0)
    for least, worse in ((0, False), (6, True)):
        now = uneven(3000, 1, least)
        found = estimate(toy(), before, now.drop(columns="y"))
        assert found is not None
        assert found.method == "estimated"
        assert found.overall.worse is worse
        assert found.overall.value == pytest.approx(rmse(now["y"], now["prediction"]), rel=0.1)


def test_a_classifier_that_is_less_sure_is_expected_to_be_worse() -> None:
    before, now = passengers(500, 0), passengers(500, 1)
    same, unsure = (estimate(load("titanic"), before, frame) for frame in (now, now.assign(prediction=0.5)))
    assert same is not None
    assert unsure is not None
    assert not same.overall.worse
    assert unsure.overall.worse


def test_a_metric_that_cannot_be_estimated_is_not() -> None:
    other = toy(metric=Metric("mape", lambda truth, predictions: 1.0, "minimize"))
    assert estimate(other, predicted(300, 0), predicted(300, 1)) is None


def test_a_model_that_never_erred_gives_nothing_to_estimate_from() -> None:
    perfect = rows(300).assign(prediction=lambda frame: frame["y"])
    assert estimate(toy(), perfect, perfect) is None
