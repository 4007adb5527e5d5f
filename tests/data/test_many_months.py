"""Published months, each prepared by itself: the same rows, numbers and predictions as together."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

import usecases
from tests.splitting import prepared_one_by_one, prepared_together, same_bits
from training import data, search
from training.data import Prepared
from training.months import expand
from usecases.taxi.sources import locate

GREEN = Path(__file__).parents[2].parent / "shared" / "data" / "green"
MONTHS = expand("2023-11..2024-02")
TAXI = usecases.load("taxi")

pytestmark = pytest.mark.skipif(
    not all((GREEN / f"green_tripdata_{month}.parquet").is_file() for month in MONTHS),
    reason=f"REAL MONTHS ARE NOT CHECKED: {GREEN} lacks some of green_tripdata_2023-11 to 2024-02.parquet",
)


@cache
def one_by_one() -> Prepared:
    return prepared_one_by_one(TAXI, locate(str(GREEN), MONTHS, Path()))


@cache
def together() -> Prepared:
    return prepared_together(TAXI, locate(str(GREEN), MONTHS, Path()))


def test_the_rows_are_the_same_to_the_last_bit() -> None:
    assert len(one_by_one().clean) > 200_000
    assert same_bits(one_by_one().clean, together().clean)


def test_as_many_were_read_and_dropped_for_the_same_reasons() -> None:
    assert one_by_one()[1:] == together()[1:]
    assert one_by_one().rows == len(one_by_one().clean) + sum(one_by_one().dropped.values())


@pytest.mark.parametrize("candidate", ["baseline", "ridge"])
def test_a_model_of_them_predicts_the_same_bits(candidate: str) -> None:
    chosen, predictions = TAXI.candidate(candidate), []
    for prepared in (one_by_one(), together()):
        train, validation = data.split(TAXI, prepared.clean, "2024-02-01", 42)
        model = search.fit(TAXI, chosen, chosen.defaults, train, seed=42)
        predictions.append(TAXI.predict(model, validation).tobytes())
    assert predictions[0] == predictions[1]
