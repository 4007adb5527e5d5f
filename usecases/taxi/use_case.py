"""Everything about taxi trips, put together."""

from __future__ import annotations

from sklearn.metrics import root_mean_squared_error

from usecases.base import Gates, Metric, UseCase
from usecases.taxi import cleaning, contract, slices, sources
from usecases.taxi.features import features
from usecases.taxi.models import CANDIDATES

USE_CASE = UseCase(
    name="taxi",
    title="Duration of a New York green taxi trip",
    task="regression",
    target=cleaning.TARGET,
    locate=sources.locate,
    sources=sources.SOURCES,
    read=sources.read,
    raw_schema=cleaning.raw_schema,
    clean=cleaning.clean,
    split=cleaning.split,
    default_cutoff="2024-02-01",
    features=features,
    candidates=CANDIDATES,
    metric=Metric("rmse", root_mean_squared_error, "minimize", unit="minutes"),
    gates=Gates(bound=5.5, champion_tolerance=0.01, slice_ratio=1.15, slice_min_rows=300),
    slices={
        "borough pair": slices.borough_pair,
        "hour": slices.hour,
        "distance": slices.distance,
        "zone pair": slices.pair_seen,
    },
    request=contract.TripRequest,
    respond=contract.respond,
    example=contract.EXAMPLE,
)
