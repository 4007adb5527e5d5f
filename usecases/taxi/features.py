"""The one definition of the features: request columns → numbers, each row by itself.

What is learnt from data (means per zone, and so on) lives in the estimators (models.py), so a single request
and a batch go through the same arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from usecases.arithmetic import MANY, Arithmetic, Value
from usecases.taxi.zones import BOROUGHS

if TYPE_CHECKING:
    import pandas as pd

MILES_CAP = 30.0
"""Longer trips are taken for this long: above it distances are mostly meter errors."""
DISTANCE_BANDS = [0.0, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 20]
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


def compute(arithmetic: Arithmetic, trip: Mapping[str, Value]) -> dict[str, Value]:
    """Features by name."""
    number, whole = arithmetic.number, arithmetic.whole
    start = trip["lpep_pickup_datetime"]
    hour = arithmetic.hour(start)
    minute = hour * 60 + arithmetic.minute(start)
    weekday = arithmetic.weekday(start)
    weekend = weekday >= 5
    pickup, dropoff = whole(trip["PULocationID"]), whole(trip["DOLocationID"])
    miles = number(trip["trip_distance"])
    band = arithmetic.band(DISTANCE_BANDS, miles)
    pickup_borough, dropoff_borough = arithmetic.take(BOROUGHS, pickup), arithmetic.take(BOROUGHS, dropoff)
    low, high = arithmetic.minimum(pickup, dropoff), arithmetic.maximum(pickup, dropoff)
    pair = pickup * 1000 + dropoff
    return {
        "miles": miles,
        "distance": arithmetic.minimum(miles, MILES_CAP),
        "zero_distance": number(miles == 0),
        "absurd_distance": number(miles > 100),
        "minute": number(minute),
        "weekday": number(weekday),
        "week_minute": number(weekday * 1440 + minute),
        "pickup": pickup,
        "dropoff": dropoff,
        "same_zone": number(pickup == dropoff),
        "pickup_borough": number(pickup_borough),
        "dropoff_borough": number(dropoff_borough),
        "passengers": number(trip["passenger_count"]),
        "trip_type": number(trip["trip_type"]),
        "vendor": number(trip["VendorID"]),
        "pair": pair,
        "unordered_pair": low * 1000 + high,
        "pickup_hour": pickup * 100 + hour,
        "dropoff_hour": dropoff * 100 + hour,
        "week_hour": hour * 10 + weekend,
        "pair_daypart": pair * 10 + hour // 3,
        "pickup_band": pickup * 100 + band,
        "dropoff_band": dropoff * 100 + band,
        "borough_pair_hour": (pickup_borough * 10 + dropoff_borough) * 100 + hour,
    }


def encode(arithmetic: Arithmetic, trip: Mapping[str, Value], tables: Mapping[str, Any]) -> Sequence[Value]:
    """Features in their order."""
    return list(compute(arithmetic, trip).values())


def features(rows: pd.DataFrame) -> pd.DataFrame:
    """The frame that every candidate learns from; `rows` is not changed."""
    import pandas as pd

    from usecases.base import columns

    return pd.DataFrame(compute(MANY, columns(rows)))
