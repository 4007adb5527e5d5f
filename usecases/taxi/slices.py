"""Groups of trips that the model is judged by one by one, so that no group pays for the average."""

from __future__ import annotations

import numpy as np
import pandas as pd

from usecases.taxi.cleaning import PICKUP
from usecases.taxi.zones import BOROUGHS, NAMES

_HOURS = {0: "00-06 night", 6: "06-10 morning", 10: "10-16 day", 16: "16-20 evening", 20: "20-24 late"}
_MILES = {0.0: "0-1 miles", 1.0: "1-2 miles", 2.0: "2-5 miles", 5.0: "5-10 miles", 10.0: "10+ miles"}


def borough_pair(rows: pd.DataFrame, train: pd.DataFrame) -> pd.Series:
    """From which borough to which."""
    names = np.array(NAMES)[list(BOROUGHS)]
    start, end = (names[rows[column]] for column in ("PULocationID", "DOLocationID"))
    return pd.Series([f"{a} → {b}" for a, b in zip(start, end, strict=True)], index=rows.index)


def hour(rows: pd.DataFrame, train: pd.DataFrame) -> pd.Series:
    """Part of the day."""
    return _band(rows[PICKUP].dt.hour, _HOURS)


def distance(rows: pd.DataFrame, train: pd.DataFrame) -> pd.Series:
    """Distance band; 0 is a meter that did not run."""
    bands = _band(rows["trip_distance"], _MILES)
    return bands.where(rows["trip_distance"] > 0, "exactly 0 miles")


def pair_seen(rows: pd.DataFrame, train: pd.DataFrame) -> pd.Series:
    """Whether the pair of zones is among the training rows."""
    known = set(zip(train["PULocationID"], train["DOLocationID"], strict=True))
    pairs = zip(rows["PULocationID"], rows["DOLocationID"], strict=True)
    return pd.Series(["seen" if pair in known else "unseen" for pair in pairs], index=rows.index)


def _band(values: pd.Series, bands: dict[int, str] | dict[float, str]) -> pd.Series:
    edges = np.array(list(bands), dtype=float)
    labels = np.array(list(bands.values()))
    return pd.Series(labels[np.searchsorted(edges, values, side="right") - 1], index=values.index)
