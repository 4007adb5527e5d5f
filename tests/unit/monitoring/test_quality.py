"""Requests that are filled worse than before are told from those that are as they were."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

from monitoring.check import Quality
from monitoring.quality import compare


class Request(BaseModel):
    miles: float
    zone: int
    passengers: int | None = None
    colour: Literal["red", "blue"] | None = None
    at: datetime


def requests(count: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "miles": rng.exponential(3, count),
            "zone": rng.integers(1, 200, count),
            "passengers": rng.choice([1.0, 2, 3, np.nan], count, p=[0.7, 0.15, 0.1, 0.05]),
            "colour": rng.choice(["red", "blue"], count),
            "at": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.uniform(0, 1e6, count), unit="s"),
        }
    )


def found(now: pd.DataFrame, before: pd.DataFrame | None = None) -> dict[str, Quality]:
    return {
        column.column: column
        for column in compare(Request, requests(5000) if before is None else before, now)
    }


def test_requests_as_they_were_are_as_good_as_they_were() -> None:
    for seed in range(1, 21):
        assert not any(column.worse for column in found(requests(500, seed)).values())


def test_shares_are_counted_of_all_rows() -> None:
    now = requests(1000, 1)
    now.loc[:99, "miles"] = 1000.0
    now.loc[100:149, "miles"] = np.nan
    miles = found(now)["miles"]
    assert (miles.missing, miles.missing_before, miles.out_of_range) == (0.05, 0.0, 0.1)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("miles", np.nan),
        ("miles", -1.0),
        ("zone", 201),
        ("passengers", np.nan),
        ("passengers", 9),
        ("colour", "green"),
    ],
)
def test_a_tenth_more_of_missing_or_unknown_values_is_worse(column: str, value: object) -> None:
    now = requests(1000, 1)
    now[column] = now[column].astype(object).where(np.arange(1000) % 10 > 0, value)
    worse = {name for name, quality in found(now).items() if quality.worse}
    assert worse == {column}


def test_less_than_the_floor_is_no_news_however_many_rows_prove_it() -> None:
    now = requests(20_000, 1)
    now.loc[:799, "miles"] = np.nan
    assert found(now)["miles"].missing == 0.04
    assert not found(now)["miles"].worse


def test_few_rows_prove_nothing() -> None:
    now = requests(10, 1)
    now.loc[0, "colour"] = None
    assert not found(now)["colour"].worse


def test_fewer_missing_values_are_not_worse() -> None:
    empty = requests(5000).assign(passengers=np.nan)
    quality = found(requests(1000, 1), empty)["passengers"]
    assert not quality.worse
    assert quality.out_of_range == 0, "a column without values had no range"


def test_values_too_many_to_have_been_seen_all_are_not_called_unknown() -> None:
    # Half of what comes occurs once in the reference, so half of what comes next is expected to be new.
    rng = np.random.default_rng(0)
    before, now = (
        requests(2000, seed).assign(colour=rng.integers(0, 3000, 2000).astype(str)) for seed in (0, 1)
    )
    assert found(now, before)["colour"].out_of_range > 0.4
    assert not found(now, before)["colour"].worse


def test_of_moments_none_is_out_of_range() -> None:
    now = requests(1000, 1)
    now["at"] += pd.Timedelta(days=1000)
    assert found(now)["at"].out_of_range == 0
