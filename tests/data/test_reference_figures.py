"""Exact figures on the trip records as published: those of the reference system, and what is better here."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import usecases
from training import data, search
from training.search import Result
from usecases.base import Split
from usecases.taxi import sources
from usecases.taxi.models import PairVectorizer

GREEN = Path(__file__).parents[2].parent / "shared" / "data" / "green"
MONTHS = ["2024-01", "2024-02"]
CUTOFF = "2024-02-01"
TAXI = usecases.load("taxi")

pytestmark = pytest.mark.skipif(
    not all((GREEN / f"green_tripdata_{month}.parquet").is_file() for month in MONTHS),
    reason=f"THE EXACT FIGURES ARE NOT CHECKED: {GREEN} has no green_tripdata_2024-01 and 2024-02.parquet",
)


@cache
def raw() -> pd.DataFrame:
    return TAXI.read(TAXI.locate(str(GREEN), MONTHS, Path()))


@cache
def clean() -> pd.DataFrame:
    return TAXI.clean(raw()).frame


@cache
def parts() -> Split:
    return data.split(TAXI, clean(), CUTOFF, 42)


@cache
def result(candidate: str) -> Result:
    chosen = TAXI.candidate(candidate)
    return search.compete(TAXI, chosen, *parts(), trials=1, seed=42)[1]


def test_the_two_months_have_110_128_trips_that_keep_the_schema() -> None:
    assert len(raw()) == 110_128
    data.validate(TAXI, raw())


def test_the_cleaning_rule_keeps_105_870_of_them() -> None:
    assert len(clean()) == 105_870
    assert TAXI.clean(raw()).dropped == {"shorter than 1 minute": 3_121, "longer than 60 minutes": 1_137}


def test_pairs_and_distance_of_all_rows_make_7_027_columns() -> None:
    assert PairVectorizer().fit_transform(TAXI.features(clean())).shape == (105_870, 7_027)


def test_learnt_from_training_rows_both_sides_of_the_split_have_5_094_columns() -> None:
    train, validation = (TAXI.features(part) for part in parts())
    vectorizer = PairVectorizer().fit(train)
    assert vectorizer.transform(train).shape == (54_378, 5_094)
    assert vectorizer.transform(validation).shape == (51_492, 5_094)


def test_2_402_validation_trips_go_between_zones_that_no_training_trip_joined() -> None:
    train, validation = parts()
    assert (TAXI.slices["zone pair"](validation, train) == "unseen").sum() == 2_402


def test_the_baseline_is_off_by_5_995_minutes() -> None:
    score = result("baseline").scores.overall
    assert score.rows == 51_492
    assert score.value == pytest.approx(5.995, abs=0.001)


def test_gradient_boosting_is_off_by_less_than_4_10_minutes_on_the_same_rows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    score = result("gradient_boosting").scores.overall
    with capsys.disabled():
        print(f"\ngradient_boosting: RMSE {score.value:.4f} minutes on {score.rows:,} trips")
    assert score.rows == 51_492
    assert score.value < 4.10
    assert score.value < result("baseline").scores.overall.value


def test_gradient_boosting_is_better_than_the_baseline_in_every_slice_that_is_judged() -> None:
    better, worse = result("gradient_boosting").scores.slices, result("baseline").scores.slices
    for name, values in better.items():
        for value, score in values.items():
            if score.rows >= TAXI.gates.slice_min_rows:
                assert score.value < worse[name][value].value, f"{name} {value}"


def test_the_bundled_sample_is_what_its_script_draws_from_the_months(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("draw_sample", sources.SAMPLE.parent / "draw_sample.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    drawn = script.draw(GREEN)
    assert len(drawn) == 22_025
    pd.testing.assert_frame_equal(drawn, pd.read_parquet(sources.SAMPLE))


def test_every_row_of_the_bundled_sample_is_a_recorded_trip() -> None:
    sample = sources.read([sources.SAMPLE])
    # A gap is one value of its own: merging takes NaN for equal to NaN.
    counted = [frame.value_counts(dropna=False).rename(name) for frame, name in ((sample, "s"), (raw(), "r"))]
    both = counted[0].reset_index().merge(counted[1].reset_index(), how="left", on=list(sources.COLUMNS))
    assert (both["s"] <= both["r"]).all()
    assert np.isclose(len(sample), 0.2 * len(raw()), atol=2)
