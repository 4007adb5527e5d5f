from __future__ import annotations

import numpy as np
import pytest

from monitoring.replay import TIMED, apart, speeds


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
