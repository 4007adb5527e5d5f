"""The matrix that estimators see: a trip's own numbers, what other trips took, and where its zones lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from usecases.arithmetic import Arithmetic, Value
from usecases.taxi.features import KEYS, NUMBERS, compute

PAIRS = ("pair", "unordered_pair")
"""Keys by which distance has a mean, too."""


def encode(arithmetic: Arithmetic, trip: Mapping[str, Value], tables: Mapping[str, Any]) -> Sequence[Value]:
    """Request values → the matrix's columns in order; `tables` are those of a fitted `TripEncoder`."""
    return matrix(arithmetic, compute(arithmetic, trip), tables)


def matrix(
    arithmetic: Arithmetic, features: Mapping[str, Value], tables: Mapping[str, Any]
) -> Sequence[Value]:
    """Features → the matrix's columns in order."""
    pickup, dropoff, distance = features["pickup"], features["dropoff"], features["distance"]
    means = {key: arithmetic.lookup(tables[key], features[key]) for key in KEYS}
    path = arithmetic.cell(tables["miles"], pickup, dropoff)
    distances = [means[key][2] for key in PAIRS]
    return [
        *[features[name] for name in NUMBERS],
        *[means[key][0] for key in KEYS],
        *[means[key][1] for key in KEYS],
        *distances,
        # By how much the trip is longer than its pair's mean.
        *[distance - mean for mean in distances],
        arithmetic.cell(tables["minutes"], pickup, dropoff),
        *arithmetic.row(tables["coordinates"], pickup),
        *arithmetic.row(tables["coordinates"], dropoff),
        path,
        distance - path,
    ]


def encode_pair(
    arithmetic: Arithmetic, trip: Mapping[str, Value], tables: Mapping[str, Any]
) -> Sequence[Value]:
    """What the baseline adds up: the weight of the pair of zones, and the distance."""
    features = compute(arithmetic, trip)
    (weight,) = arithmetic.lookup(tables["pair"], features["pair"])
    return [weight, features["miles"]]
