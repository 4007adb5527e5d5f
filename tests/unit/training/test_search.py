from __future__ import annotations

import numpy as np
import pytest

from tests.toy import TOY, rows
from training.search import compare, compete, fit, search


def test_one_trial_takes_the_defaults_and_more_trials_find_better_parameters() -> None:
    ridge = TOY.candidate("ridge")
    assert search(TOY, ridge, rows(), trials=1, seed=1) == {"alpha": 1000.0}
    found = search(TOY, ridge, rows(), trials=12, seed=1)
    assert isinstance(found["alpha"], float)
    assert found["alpha"] < 100


def test_a_search_overrides_defaults_and_is_the_same_for_the_same_seed() -> None:
    ridge = TOY.candidate("ridge")
    first, second = (search(TOY, ridge, rows(), trials=5, seed=7) for _ in range(2))
    assert first == second


def test_the_candidate_with_the_best_score_wins_and_of_equals_the_first() -> None:
    train, validation = TOY.split(rows(), None, 0)
    results = [
        compete(TOY, candidate, train, validation, trials=1, seed=0)[1] for candidate in TOY.candidates
    ]
    assert compare(TOY, results).winner == "linear"
    twins = [results[1], results[1].model_copy(update={"candidate": "twin"})]
    assert compare(TOY, twins).winner == "linear"


def test_a_model_takes_request_columns_and_never_sees_the_validation_rows() -> None:
    train, validation = TOY.split(rows(), None, 0)
    model = fit(TOY, TOY.candidate("mean"), {}, train, seed=0)
    assert TOY.predict(model, validation) == pytest.approx(np.full(len(validation), train["y"].mean()))


def test_scores_are_given_overall_and_per_slice() -> None:
    train, validation = TOY.split(rows(), None, 0)
    _, result = compete(TOY, TOY.candidate("linear"), train, validation, trials=1, seed=0)
    colours = result.scores.slices["colour"]
    assert sum(score.rows for score in colours.values()) == result.scores.overall.rows == len(validation)
    assert result.scores.overall.value == pytest.approx(0, abs=1e-9)
