"""Changes of trips, of stated sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from usecases.taxi.cleaning import PICKUP, TARGET
from usecases.taxi.zones import BOROUGHS

MILES = "trip_distance"
PASSENGERS = "passenger_count"


@dataclass(frozen=True)
class Shift:
    """A change, and whether it is one of outcomes: then predictions stay, else outcomes are not looked at."""

    name: str
    change: Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]
    outcomes: bool = False


def _distance(factor: float) -> Shift:
    return Shift(
        f"distances × {factor:g}",
        lambda rows, _: rows.assign(**{MILES: (rows[MILES] * factor).clip(upper=100)}),
    )


def _zones(share: float) -> Shift:
    permuted = np.arange(len(BOROUGHS))
    permuted[1:] = np.random.default_rng(0).permutation(permuted[1:])

    def change(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        chosen = rng.random(len(rows)) < share
        columns = ("PULocationID", "DOLocationID")
        return rows.assign(**{name: np.where(chosen, permuted[rows[name]], rows[name]) for name in columns})

    return Shift(f"zones permuted in {share:.0%} of the rows", change)


def _hours(hours: int) -> Shift:
    return Shift(
        f"pick-ups {hours} h later",
        lambda rows, _: rows.assign(**{PICKUP: rows[PICKUP] + pd.Timedelta(hours=hours)}),
    )


def _missing(share: float) -> Shift:
    return Shift(
        f"passengers missing in {share:.0%} of the rows",
        lambda rows, rng: rows.assign(**{PASSENGERS: rows[PASSENGERS].where(rng.random(len(rows)) >= share)}),
    )


def _slower(factor: float) -> Shift:
    return Shift(
        f"trips take {factor:g} times as long",
        lambda rows, _: rows.assign(**{TARGET: rows[TARGET] * factor}),
        outcomes=True,
    )


def _longer(factor: float) -> Shift:
    def change(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        weights = np.where(rows[MILES] >= 4, factor, 1.0)
        return rows.iloc[rng.choice(len(rows), len(rows), p=weights / weights.sum())].reset_index(drop=True)

    name = "as drawn" if factor == 1 else f"trips of 4 miles and more {factor:g} times as frequent"
    return Shift(name, change, outcomes=True)


INPUTS = (
    *map(_distance, (1.05, 1.1, 1.2, 1.5)),
    *map(_zones, (0.05, 0.1, 0.3)),
    *map(_hours, (1, 3, 6)),
    *map(_missing, (0.1, 0.5)),
)
OUTCOMES = tuple(map(_slower, (1.05, 1.1, 1.2)))
MIXES = tuple(map(_longer, (1.0, 1.5, 2.0, 4.0)))
