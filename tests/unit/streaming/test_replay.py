"""Rows as events: in the order of their time, each outcome after its request, as fast as is asked for."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

import usecases
from console.streaming import _speed
from errors import UsageError
from streaming.replay import LONGEST_WAIT, timeline
from tests.toy import TOY

TAXI = usecases.load("taxi")


def test_events_come_in_the_order_of_their_time_without_the_years_that_a_clock_was_off() -> None:
    rows = TAXI.clean(TAXI.read(TAXI.locate("sample", None, Path()))).frame.iloc[:3_000]
    events = list(timeline(TAXI, rows))
    asked = {event.row: event for event in events if not event.outcome}
    known = {event.row: event for event in events if event.outcome}
    assert len(asked) == len(known) == len(rows)
    assert events[0].seconds == 0
    assert all(0 <= after.seconds - before.seconds <= LONGEST_WAIT for before, after in pairwise(events))
    for row, outcome in known.items():
        minutes = json.loads(outcome.value)["value"]
        assert outcome.seconds - asked[row].seconds == pytest.approx(60 * minutes, abs=1e-3)
        assert set(json.loads(asked[row].value)) == set(TAXI.request_columns)


def test_a_use_case_that_does_not_say_when_its_rows_happened_is_refused() -> None:
    with pytest.raises(UsageError, match="toy does not say when its rows happened"):
        next(timeline(TOY, TAXI.read(TAXI.locate("sample", None, Path()))))


@pytest.mark.parametrize("speed", ["60", "0x", "fast", "-1x", "x"])
def test_a_speed_is_a_factor(speed: str) -> None:
    assert _speed("60x") == 60
    assert _speed("max") == float("inf")
    with pytest.raises(UsageError, match="60x, or max"):
        _speed(speed)
