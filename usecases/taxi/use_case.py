"""Everything about taxi trips, put together."""

from __future__ import annotations

from sklearn.metrics import root_mean_squared_error

from usecases.base import Gates, Metric, UseCase
from usecases.taxi import cleaning, slices, sources
from usecases.taxi.contract import CONTRACT
from usecases.taxi.features import encode, features
from usecases.taxi.models import CANDIDATES

USE_CASE = UseCase(
    contract=CONTRACT,
    target=cleaning.TARGET,
    locate=sources.locate,
    sources=sources.SOURCES,
    read=sources.read,
    raw_schema=cleaning.raw_schema,
    clean=cleaning.clean,
    split=cleaning.split,
    default_cutoff="2024-02-01",
    features=features,
    encode=encode,
    candidates=CANDIDATES,
    metric=Metric("rmse", root_mean_squared_error, "minimize", unit="minutes"),
    gates=Gates(bound=5.5, champion_tolerance=0.01, slice_ratio=1.15, slice_min_rows=300),
    slices={
        "borough pair": slices.borough_pair,
        "hour": slices.hour,
        "distance": slices.distance,
        "zone pair": slices.pair_seen,
    },
    intended_use="telling, when a trip with a New York green taxi begins, how many minutes it will take: "
    "arrival times for passengers, planning of cars.",
    limits="other cars and other cities; trips of more than "
    f"{cleaning.MAX_MINUTES} minutes, none of which it has seen. It knows nothing of weather, road works and "
    "events, and of today's traffic only the hour and the weekday. The distance must be that of the planned "
    "route; where no trip went between two zones, it goes by their neighbours.",
    # Minutes: the leaves of three ensembles are summed in another order.
    parity=1e-9,
)
