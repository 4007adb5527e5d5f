"""The one definition of the features: request columns → numbers, each row by itself.

What is learnt from data (means per zone, and so on) lives in the estimators (models.py), so a single request
and a batch go through the same arithmetic.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from usecases.taxi.cleaning import PICKUP
from usecases.taxi.zones import BOROUGHS

MILES_CAP = 30.0
"""Longer trips are taken for this long: above it distances are mostly meter errors."""
DISTANCE_BANDS = np.array([0.0, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 20])
"""Upper edges in miles; the first band is exactly 0: meters that were not running."""

NUMBERS = [
    "distance",
    "zero_distance",
    "absurd_distance",
    "minute",
    "weekday",
    "week_minute",
    "pickup",
    "dropoff",
    "same_zone",
    "pickup_borough",
    "dropoff_borough",
    "passengers",
    "trip_type",
    "vendor",
]
# Whole numbers that name a group of trips; encoders learn means of these.
KEYS = [
    "pickup",
    "dropoff",
    "pair",
    "unordered_pair",
    "pickup_hour",
    "dropoff_hour",
    "week_hour",
    "pair_daypart",
    "pickup_band",
    "dropoff_band",
    "borough_pair_hour",
]


def features(rows: pd.DataFrame) -> pd.DataFrame:
    """The frame that every candidate learns from; `rows` is not changed."""
    start = pd.DatetimeIndex(rows[PICKUP])
    hour = start.hour.to_numpy(dtype=np.int64)
    minute = hour * 60 + start.minute.to_numpy(dtype=np.int64)
    weekday = start.day_of_week.to_numpy(dtype=np.int64)
    pickup = rows["PULocationID"].to_numpy(dtype=np.int64)
    dropoff = rows["DOLocationID"].to_numpy(dtype=np.int64)
    miles = rows["trip_distance"].to_numpy(dtype=np.float64)
    band = np.searchsorted(DISTANCE_BANDS, miles)
    pickup_borough, dropoff_borough = BOROUGHS[pickup], BOROUGHS[dropoff]
    low, high = np.minimum(pickup, dropoff), np.maximum(pickup, dropoff)
    return pd.DataFrame(
        {
            "miles": miles,
            "distance": np.minimum(miles, MILES_CAP),
            "zero_distance": (miles == 0).astype(np.float64),
            "absurd_distance": (miles > 100).astype(np.float64),
            "minute": minute.astype(np.float64),
            "weekday": weekday.astype(np.float64),
            "week_minute": (weekday * 1440 + minute).astype(np.float64),
            "pickup": pickup,
            "dropoff": dropoff,
            "same_zone": (pickup == dropoff).astype(np.float64),
            "pickup_borough": pickup_borough.astype(np.float64),
            "dropoff_borough": dropoff_borough.astype(np.float64),
            "passengers": _optional(rows["passenger_count"]),
            "trip_type": _optional(rows["trip_type"]),
            "vendor": _optional(rows["VendorID"]),
            "pair": pickup * 1000 + dropoff,
            "unordered_pair": low * 1000 + high,
            "pickup_hour": pickup * 100 + hour,
            "dropoff_hour": dropoff * 100 + hour,
            "week_hour": hour * 10 + (weekday >= 5),
            "pair_daypart": (pickup * 1000 + dropoff) * 10 + hour // 3,
            "pickup_band": pickup * 100 + band,
            "dropoff_band": dropoff * 100 + band,
            "borough_pair_hour": (pickup_borough * 10 + dropoff_borough) * 100 + hour,
        }
    )


def _optional(column: pd.Series) -> np.ndarray:
    """Numbers with NaN where none was given; requests bring None."""
    return pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)
