"""Trips of a few days are not taken for trips of all days: days differ, which no new model mends."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from monitoring.check import Check
from monitoring.comparison import Current, Reference, compare
from usecases import load
from usecases.taxi.cleaning import PICKUP, TARGET

TAXI = load("taxi")
SINCE, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def trips() -> pd.DataFrame:
    """The bundled trips, with the predictions of a model that is off by a quarter."""
    rows = TAXI.clean(TAXI.read(TAXI.locate("sample", None, Path()))).frame
    january = rows[rows[PICKUP].dt.strftime("%Y-%m") == "2024-01"].reset_index(drop=True)
    return january.assign(prediction=january[TARGET] * 1.25)


def check(trips: pd.DataFrame, now: pd.DataFrame) -> Check:
    reference = Reference(1, trips.iloc[::2])
    current = Current(now, len(now), now, len(now))
    return compare(TAXI, reference, current, SINCE, UNTIL, estimate=False)


def test_the_other_half_of_a_month_has_not_drifted(trips: pd.DataFrame) -> None:
    found = check(trips, trips.iloc[1::2])
    assert found.verdict == "good", found.findings
    assert [shift.column for shift in found.shifts] == list(TAXI.monitored)


def test_a_day_is_not_compared_by_weekday_and_hour_and_asks_for_nothing(trips: pd.DataFrame) -> None:
    day = trips[trips[PICKUP].dt.day == 10]
    assert len(day) > 200
    found = check(trips, day)
    assert not {"weekday", "minute"} & {shift.column for shift in found.shifts}
    assert found.verdict == "good", found.findings
    broken = check(trips, day.assign(trip_distance=day["trip_distance"] * 3, duration=1.0))
    assert {finding.kind for finding in broken.findings} >= {"drift", "performance"}
    assert broken.verdict == "watch"
    assert "only with 7 can a change be told from the difference between days" in broken.findings[0].sentence


def test_the_same_change_over_a_week_asks_for_retraining(trips: pd.DataFrame) -> None:
    week = trips[trips[PICKUP].dt.day.between(8, 14)]
    assert check(trips, week).verdict == "good"
    broken = check(trips, week.assign(trip_distance=week["trip_distance"] * 3))
    assert broken.verdict == "retrain"
    assert broken.findings[0].sentence.startswith("Trip distance is higher: the median was ")
    assert " miles and is " in broken.findings[0].sentence


def test_a_stray_trip_of_another_year_does_not_make_a_day_a_year(trips: pd.DataFrame) -> None:
    day = trips[trips[PICKUP].dt.day == 10]
    stray = day.assign(**{PICKUP: day[PICKUP].where(day.index != day.index[0], pd.Timestamp("2009-01-01"))})
    assert "weekday" not in {shift.column for shift in check(trips, stray).shifts}


def test_trips_as_an_endpoint_gets_them_are_as_good_as_those_of_files(trips: pd.DataFrame) -> None:
    whole = dict.fromkeys(["passenger_count", "trip_type"], "Int64")
    rows = trips.head(300)[TAXI.request_columns].astype(whole)
    texts = rows.to_json(orient="records", date_format="iso", lines=True).splitlines()
    now = TAXI.request_frame([TAXI.request.model_validate_json(text) for text in texts])
    found, same = (
        compare(TAXI, Reference(1, trips), Current(frame, 300, trips[:0], 0), SINCE, UNTIL, estimate=False)
        for frame in (now.assign(prediction=trips["prediction"].head(300)), trips.head(300))
    )
    assert found == same


@pytest.mark.parametrize("name", ["taxi", "titanic"])
def test_what_is_monitored_is_a_column_of_features_or_requests(name: str) -> None:
    case = load(name)
    rows = case.clean(case.read(case.locate("sample", None, Path()))).frame.head(10)
    there = {*case.request_columns, *case.features(rows[case.request_columns])}
    assert set(case.monitored) <= there
    assert case.rhythm is None or case.rhythm.moment in case.request_columns
