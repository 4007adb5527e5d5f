from __future__ import annotations

import numpy as np
import pytest

from monitoring.replay import TIMED, apart, fair, speeds


def test_answers_are_apart_by_their_distances() -> None:
    old = np.array([10.0, 20.0, 30.0, 40.0])
    found = apart(old, old + np.array([0.0, 0.0, 1.0, -4.0]), parity=1e-9)
    assert found.rows == 4
    assert found.same == 0.5
    assert found.mean == pytest.approx(-0.75)
    assert found.median == 0.5
    assert found.largest == 4.0


def test_what_differs_by_rounding_is_the_same() -> None:
    old = np.linspace(0, 1, 100)
    assert apart(old, old + 1e-12, parity=1e-9).same == 1.0
    assert apart(old, old + 1e-8, parity=1e-9).same == 0.0


def test_models_answer_the_same_requests_in_turns() -> None:
    asked: list[tuple[str, str]] = []
    first, second = speeds(
        [lambda text: asked.append(("first", text)), lambda text: asked.append(("second", text))],
        (str(number) for number in range(10 * TIMED)),
    )
    assert asked[:4] == [("first", "0"), ("second", "0"), ("first", "1"), ("second", "1")]
    assert len(asked) == 2 * TIMED
    assert 0 < first.median <= first.p99
    assert 0 < second.median <= second.p99


def test_a_sample_of_what_comes_bit_by_bit_stays_bounded() -> None:
    chance = np.random.default_rng(1)
    sample = np.empty((0, 2))
    for begin in range(0, 4_000, 200):
        came = np.arange(begin, begin + 200.0)[:, np.newaxis]
        sample = fair(sample, came, 1.0, chance, 300)
        assert len(sample) == min(300, begin + 200)
    assert len(np.unique(sample[:, 1])) == 300
    assert sample[:, 1].mean() == pytest.approx(2_000, abs=300)


def test_rows_are_in_a_sample_by_how_many_came_and_not_by_how_many_were_drawn() -> None:
    chance = np.random.default_rng(1)
    first, second = np.zeros((4_000, 1)), np.ones((4_000, 1))
    # Four thousand came first, and then forty thousand, of which as many were drawn.
    sample = fair(fair(np.empty((0, 2)), first, 1.0, chance, 2_000), second, 0.1, chance, 2_000)
    assert len(sample) == 2_000
    assert sample[:, 1].mean() == pytest.approx(10 / 11, abs=0.03)


def test_what_is_less_than_a_sample_is_all_of_it() -> None:
    chance = np.random.default_rng(1)
    rows = np.array([[1.0, 2.0], [3.0, 4.0]])
    sample = fair(fair(np.empty((0, 3)), rows[:1], 1.0, chance, 5), rows[1:], 1.0, chance, 5)
    assert sample[:, 1:].tolist() == rows.tolist()
