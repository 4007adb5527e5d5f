"""Where a retraining splits: within the newest file, wherever stray rows of other years lie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import usecases
from errors import DataError
from tests.toy import TOY, rows
from training.plan import make
from training.window import cutoff

TAXI = usecases.load("taxi")


def trips(file: Path, days: pd.DatetimeIndex) -> Path:
    """A file with as many trips on each of the days."""
    times = pd.DatetimeIndex(days.repeat(10)).as_unit("us")
    sample = TAXI.read(TAXI.locate("sample", None, file.parent)).head(len(times))
    sample.assign(
        lpep_pickup_datetime=times, lpep_dropoff_datetime=times + pd.Timedelta(minutes=10)
    ).to_parquet(file)
    return file


def test_the_last_third_of_the_newest_file_is_for_judging(tmp_path: Path) -> None:
    file = trips(tmp_path / "green_tripdata_2024-04.parquet", pd.date_range("2024-04-01", "2024-04-30"))
    assert cutoff(TAXI, file) == "2024-04-21"


def test_single_rows_of_other_years_do_not_move_it(tmp_path: Path) -> None:
    days = pd.date_range("2024-04-01", "2024-04-30").union(pd.DatetimeIndex(["2009-01-01", "2030-01-01"]))
    assert cutoff(TAXI, trips(tmp_path / "trips.parquet", days)) == "2024-04-21"


def test_rows_that_are_not_split_by_time_need_no_day(tmp_path: Path) -> None:
    assert cutoff(usecases.load("titanic"), tmp_path / "never read.csv") is None


def test_a_file_without_a_trip_to_learn_from_is_said_so(tmp_path: Path) -> None:
    file = trips(tmp_path / "trips.parquet", pd.date_range("2024-04-01", "2024-04-02"))
    nothing = pd.read_parquet(file).assign(lpep_dropoff_datetime=pd.Timestamp("2024-04-01").as_unit("us"))
    nothing.to_parquet(file)
    with pytest.raises(DataError, match=r"No row of .*trips\.parquet is fit to learn from"):
        cutoff(TAXI, file)


def test_a_window_takes_the_newest_files_and_no_more_than_there_are(tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.csv" for name in "abc"]
    for number, file in enumerate(files):
        rows(10, seed=number).to_csv(file)
    case = replace(TOY, locate=lambda source, months, cache: files)
    taken = {n: list(make(case, downloads=tmp_path, newest=n).fingerprint.data) for n in (1, 2, 9)}
    assert taken == {1: ["c.csv"], 2: ["b.csv", "c.csv"], 9: ["a.csv", "b.csv", "c.csv"]}
