"""What a check reads of the prediction log: exactly counted, fairly drawn, of the right types."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

import usecases
from db import migrate
from monitoring import window as windows
from monitoring.performance import PREDICTION
from monitoring.window import Drawn, Window
from tests.integration.postgresql.servers import rows

TAXI, TITANIC = usecases.load("taxi"), usecases.load("titanic")
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def url(database: str) -> str:
    migrate.upgrade(database)
    rows(database, "SELECT prediction_partition('2026-11-26'), prediction_partition('2026-11-25')")
    return database


def log(url: str, number: int, at: datetime = NOON, version: int = 3, **more: Any) -> str:
    """One prediction of `number` minutes."""
    output = more.pop("output", {"duration_minutes": float(number)})
    request_id = more.pop("request_id", f"request-{number}")
    inputs = {**TAXI.example, **more}
    query = "INSERT INTO predictions VALUES (%s, %s, 0, 'taxi', %s, NULL, %s, %s, 0.1)"
    rows(url, query, at, request_id, version, json.dumps(inputs), json.dumps(output))
    return str(request_id)


def log_many(url: str, count: int, request_id: str = "'r' || i") -> None:
    """As many predictions, numbered from 0, spread over an hour after noon; PostgreSQL makes them itself."""
    query = (
        "INSERT INTO predictions SELECT %s + make_interval(secs => 3600.0 * i / %s), "
        f"{request_id}, 0, 'taxi', 3, NULL, %s, jsonb_build_object('duration_minutes', i), 0.1 "
        "FROM generate_series(0, %s - 1) AS i"
    )
    rows(url, query, NOON, count, json.dumps(dict(TAXI.example)), count)


def tell(url: str, request_id: str, value: float, received: datetime) -> None:
    rows(url, "INSERT INTO outcomes VALUES ('taxi', %s, 0, %s, %s, %s)", request_id, value, NOON, received)


def survey(url: str, since: datetime | None = NOON, until: datetime = NOON + HOUR) -> Window:
    found = windows.survey(url, "taxi", since, until)
    assert found is not None
    return found


def draw(
    url: str, window: Window, version: int = 3, size: int = windows.SAMPLE, *, known: bool = False
) -> Drawn:
    field = TAXI.contract.prediction_field
    drawn = windows.draw(url, window, version, field, known=known, size=size)
    return windows.frame(TAXI, drawn, known=known, size=size)


def numbers(frame: pd.DataFrame) -> list[int]:
    return sorted(frame[PREDICTION].astype(int))


def test_a_window_begins_with_its_first_moment_and_ends_before_its_last(url: str) -> None:
    tick = timedelta(microseconds=1)
    for number, at in enumerate((NOON - tick, NOON, NOON + HOUR - tick, NOON + HOUR)):
        log(url, number, at)
    window = survey(url)
    assert window.rows == {3: 2}
    assert numbers(draw(url, window).rows) == [1, 2]
    assert windows.count(url, "taxi", 3, NOON, NOON + HOUR) == 2
    assert windows.count(url, "taxi", 4, NOON, NOON + HOUR) == 0


def test_without_a_beginning_it_begins_with_the_first_prediction(url: str) -> None:
    assert windows.survey(url, "taxi", None, NOON) is None
    log(url, 1, NOON)
    assert windows.survey(url, "taxi", None, NOON) is None
    assert survey(url, None).since == NOON


def test_the_version_that_serves_is_checked_if_anything_came_of_it_else_the_newest(url: str) -> None:
    for number, version in enumerate((2, 3, 3, 4)):
        log(url, number, version=version)
    window = survey(url)
    assert window.rows == {2: 1, 3: 2, 4: 1}
    assert [window.version(serving) for serving in (3, 4, 5, None)] == [3, 4, 4, 4]
    assert numbers(draw(url, window).rows) == [1, 2]


def test_an_outcome_belongs_to_the_time_in_which_it_came_however_old_its_prediction_is(url: str) -> None:
    yesterday = NOON - timedelta(days=1)
    tell(url, log(url, 1, yesterday), 11.5, NOON)
    tell(url, log(url, 2, yesterday), 12.5, NOON - HOUR)
    tell(url, log(url, 3, yesterday, version=2), 13.5, NOON)
    tell(url, "nobody asked this", 14.5, NOON)
    log(url, 5, NOON)
    window = survey(url)
    assert (window.rows, window.outcomes) == ({3: 1}, {2: 1, 3: 1})
    known = draw(url, window, known=True).rows
    assert known[[PREDICTION, "duration"]].to_numpy().tolist() == [[1.0, 11.5]]


def test_rows_have_the_types_of_the_rows_that_a_model_learns_from(url: str) -> None:
    log(url, 1)
    log(url, 2, passenger_count=2, lpep_pickup_datetime="2024-02-29 23:59:59", trip_distance=3)
    frame = draw(url, survey(url)).rows.sort_values(PREDICTION)
    assert list(frame.columns) == [*TAXI.request_columns, PREDICTION]
    assert pd.api.types.is_datetime64_any_dtype(frame["lpep_pickup_datetime"])
    assert frame["lpep_pickup_datetime"].iloc[1] == pd.Timestamp("2024-02-29T23:59:59")
    # Left out of the request, or null in it: NaN.
    assert frame["passenger_count"].tolist() == pytest.approx([np.nan, 2.0], nan_ok=True)
    assert frame["trip_type"].dtype == np.float64
    assert frame["trip_type"].isna().all()
    assert np.isfinite(TAXI.features(frame[TAXI.request_columns])["distance"]).all()


def test_the_prediction_is_read_from_the_field_that_holds_it(url: str) -> None:
    query = "INSERT INTO predictions VALUES (%s, 'one', 0, 'titanic', 1, NULL, %s, %s, 0.1)"
    answered = json.dumps({"survived": True, "probability": 0.75})
    rows(url, query, NOON, json.dumps({**TITANIC.example, "Embarked": None}), answered)
    window = windows.survey(url, "titanic", NOON, NOON + HOUR)
    assert window is not None
    drawn = windows.draw(url, window, 1, TITANIC.contract.prediction_field, known=False)
    frame = windows.frame(TITANIC, drawn, known=False).rows
    assert frame[PREDICTION].tolist() == [0.75]
    assert frame["Embarked"].isna().all()


def test_rows_that_the_contract_of_today_would_not_take_are_left_out_and_counted(url: str) -> None:
    log(url, 1)
    log(url, 2, colour="red")
    log(url, 3, output={"minutes": 3})
    log(url, 4, output={"duration_minutes": None})
    drawn = draw(url, survey(url))
    assert (numbers(drawn.rows), drawn.unreadable) == ([1], 3)


def test_of_many_rows_so_many_are_drawn_and_the_same_again(url: str) -> None:
    log_many(url, 20_000)
    window = survey(url)
    assert window.rows == {3: 20_000}
    drawn = numbers(draw(url, window, 3, 1_000).rows)
    assert len(set(drawn)) == 1_000
    assert numbers(draw(url, window, 3, 1_000).rows) == drawn
    other = numbers(draw(url, survey(url, None, NOON + 2 * HOUR), 3, 1_000).rows)
    assert len(set(other) & set(drawn)) < 150
    assert len(draw(url, window, 3, 30_000).rows) == 20_000


@pytest.mark.parametrize("request_id", ["'r' || i", "'always the same'"])
def test_each_row_is_as_likely_to_be_drawn_as_any_other(url: str, request_id: str) -> None:
    log_many(url, 20_000, request_id)
    drawn = numbers(draw(url, survey(url), 3, 2_000).rows)
    assert len(drawn) == 2_000
    # Each tenth of the hour has a tenth of the rows: five standard deviations are 64 of 200.
    counts = np.histogram(drawn, bins=10, range=(0, 20_000))[0]
    assert np.abs(counts - 200).max() < 64


def test_outcomes_are_drawn_as_predictions_are(url: str) -> None:
    log_many(url, 10_000)
    query = (
        "INSERT INTO outcomes SELECT 'taxi', 'r' || i, 0, i + 0.5, %s, %s FROM generate_series(0, 9999) AS i"
    )
    rows(url, query, NOON, NOON)
    window = survey(url)
    known = draw(url, window, 3, 500, known=True).rows
    assert (window.outcomes, len(known)) == ({3: 10_000}, 500)
    assert (known["duration"] - known[PREDICTION] == 0.5).all()
    # As a number that is wrong would be: whoever writes to the table by hand may write NaN.
    rows(url, "UPDATE outcomes SET value = 'NaN'")
    assert draw(url, window, 3, 500, known=True).unreadable == 500


def test_nothing_that_came_is_an_empty_frame_with_all_columns(url: str) -> None:
    log(url, 1)
    window = survey(url)
    assert not window.is_empty
    known = draw(url, window, known=True).rows
    assert list(known.columns) == [*TAXI.request_columns, PREDICTION, "duration"]
    assert known.empty
    assert survey(url, NOON + HOUR, NOON + 2 * HOUR).is_empty
