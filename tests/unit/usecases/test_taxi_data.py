"""Trips before they reach a model: the schema at the door, the cleaning rule, the split in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

import usecases
from errors import DataError, UsageError
from tests.problems import rows
from training import data
from usecases.taxi import sources

TAXI = usecases.load("taxi")
START = pd.Timestamp("2024-01-15 12:00:00")


def trips(minutes: Sequence[float], **columns: Any) -> pd.DataFrame:
    """Raw trips that last so many minutes, all else as in the records."""
    count = len(minutes)
    pickup = pd.Series([START] * count, dtype="datetime64[us]")
    return pd.DataFrame(
        {
            "VendorID": np.full(count, 2, dtype="int32"),
            "lpep_pickup_datetime": pickup,
            "lpep_dropoff_datetime": pickup + pd.to_timedelta([round(60 * m) for m in minutes], unit="s"),
            "PULocationID": np.full(count, 74, dtype="int32"),
            "DOLocationID": np.full(count, 75, dtype="int32"),
            "passenger_count": np.full(count, 1.0),
            "trip_distance": np.full(count, 2.0),
            "trip_type": np.full(count, 1.0),
        }
        | columns
    )


def test_trips_of_one_and_of_sixty_minutes_are_kept_and_a_second_beyond_is_not() -> None:
    second = 1 / 60
    kept, dropped = TAXI.clean(trips([1 - second, 1, 1 + second, 60 - second, 60, 60 + second]))
    assert kept["duration"].tolist() == pytest.approx([1, 1 + second, 60 - second, 60])
    assert dropped == {"shorter than 1 minute": 1, "longer than 60 minutes": 1}


def test_a_trip_that_ends_before_it_begins_counts_as_too_short() -> None:
    kept, dropped = TAXI.clean(trips([-5, 0, 10]))
    assert kept["duration"].tolist() == [10]
    assert dropped["shorter than 1 minute"] == 2


def test_reasons_are_named_even_when_no_trip_was_dropped() -> None:
    assert TAXI.clean(trips([10])).dropped == {"shorter than 1 minute": 0, "longer than 60 minutes": 0}


def test_cleaning_leaves_distances_as_they_are_since_the_reference_does() -> None:
    distances = [0.0, 0.01, 150.0, 201_421.68]
    kept = TAXI.clean(trips([10] * 4, trip_distance=distances)).frame
    assert kept["trip_distance"].tolist() == distances


def test_clean_rows_are_numbered_anew() -> None:
    assert TAXI.clean(trips([0, 10, 90, 20])).frame.index.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("PULocationID", 0),
        ("DOLocationID", 266),
        ("trip_distance", -0.01),
        ("trip_distance", np.nan),
        ("lpep_dropoff_datetime", pd.NaT),
        ("passenger_count", 10.0),
        ("trip_type", 3.0),
        ("VendorID", 0),
    ],
)
def test_the_schema_refuses_a_value_outside_of_the_contract_and_names_the_column(
    column: str, value: Any
) -> None:
    raw = trips([10, 20])
    raw.loc[1, column] = value
    with pytest.raises(DataError, match=rf"(?s)contract of taxi.*{column}: expected"):
        data.validate(TAXI, raw)


def test_the_schema_takes_gaps_where_the_publisher_leaves_them_and_columns_that_it_adds() -> None:
    raw = trips([10], passenger_count=[np.nan], trip_type=[np.nan], cbd_congestion_fee=[0.75])
    data.validate(TAXI, raw)


def test_the_schema_refuses_records_without_a_column() -> None:
    with pytest.raises(DataError, match="PULocationID"):
        data.validate(TAXI, trips([10]).drop(columns="PULocationID"))


def test_a_trip_at_the_cutoff_is_for_validation_and_one_a_second_earlier_for_training() -> None:
    moments = pd.to_datetime(
        ["2023-12-31", "2024-01-31 23:59:59", "2024-02-01", "2024-03-01"], format="ISO8601"
    )
    clean = trips([10] * 4, lpep_pickup_datetime=moments)
    train, validation = TAXI.split(clean, "2024-02-01", 42)
    assert train["lpep_pickup_datetime"].tolist() == moments[:2].tolist()
    assert validation["lpep_pickup_datetime"].tolist() == moments[2:].tolist()


def test_the_split_is_by_pick_up_and_not_by_the_file_that_a_trip_came_in() -> None:
    shuffled = rows("taxi").sample(frac=1, random_state=0)
    train, validation = TAXI.split(shuffled, "2024-02-01", 42)
    assert train["lpep_pickup_datetime"].max() < pd.Timestamp("2024-02-01")
    assert validation["lpep_pickup_datetime"].min() >= pd.Timestamp("2024-02-01")


@pytest.mark.parametrize(
    "cutoff", ["february", "2024-02-30", "2024-13-01", "now", "NaT", "2024-02-01T00:00Z"]
)
def test_a_cutoff_that_is_no_date_is_a_usage_error_that_shows_one(cutoff: str) -> None:
    with pytest.raises(UsageError, match="must be a date such as 2024-02-01; got"):
        TAXI.split(rows("taxi"), cutoff, 42)


def test_trips_are_not_split_without_a_cutoff() -> None:
    with pytest.raises(DataError, match="a cutoff date is needed"):
        TAXI.split(rows("taxi"), None, 42)


@pytest.mark.parametrize(("cutoff", "side"), [("2030-01-01", "validation"), ("2010-01-01", "train")])
def test_a_cutoff_that_leaves_one_side_empty_says_which(cutoff: str, side: str) -> None:
    with pytest.raises(DataError, match=f"leaves no {side} rows"):
        data.split(TAXI, rows("taxi"), cutoff, 42)


def test_the_bundled_sample_has_a_fifth_of_the_trips_of_two_months() -> None:
    sample = sources.read([sources.SAMPLE])
    assert len(sample) == 22_025
    assert sample["lpep_pickup_datetime"].is_monotonic_increasing
    assert sources.SAMPLE.stat().st_size < 400_000


def test_the_sample_keeps_the_dirt_of_the_records() -> None:
    sample = sources.read([sources.SAMPLE])
    assert (sample["trip_distance"] == 0).sum() > 500
    assert sample["trip_distance"].max() > 1_000
    assert min(TAXI.clean(sample).dropped.values()) > 100
