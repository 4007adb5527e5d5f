"""Everything about taxi trips, put together."""

from __future__ import annotations

from datetime import timedelta

from sklearn.metrics import root_mean_squared_error

from usecases.base import Gates, Metric, Monitored, OutdatedAfter, Rhythm, UseCase
from usecases.taxi import cleaning, slices, sources
from usecases.taxi.cleaning import PICKUP
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
    # What the request says, each once; the other features follow from these. Not the pick-up itself, which
    # always moves on.
    monitored={
        "distance": Monitored("numeric", "trip distance", "miles"),
        "minute": Monitored("numeric", "minute of the day", calendar=True),
        # Days of which a time has one more than of others weigh up to 0.17 in whole weeks and a part of one,
        # holidays come on top.
        "weekday": Monitored("categorical", "weekday (0 is Monday)", tolerated=0.25, calendar=True),
        "pickup": Monitored("categorical", "pick-up zone"),
        "dropoff": Monitored("categorical", "drop-off zone"),
        "passengers": Monitored("categorical", "number of passengers"),
        "trip_type": Monitored("categorical", "trip type"),
        "vendor": Monitored("categorical", "maker of the meter"),
    },
    rhythm=Rhythm(PICKUP, timedelta(days=7)),
    # A month is published up to two months after its end.
    outdated_after=OutdatedAfter(data=timedelta(days=92), model=timedelta(days=92)),
    intended_use="telling, when a trip with a New York green taxi begins, how many minutes it will take: "
    "arrival times for passengers, planning of cars.",
    limits="other cars and other cities; trips of more than "
    f"{cleaning.MAX_MINUTES} minutes, none of which it has seen. It knows nothing of weather, road works and "
    "events, and of today's traffic only the hour and the weekday. The distance must be that of the planned "
    "route; where no trip went between two zones, it goes by their neighbours.",
    # Minutes: the leaves of three ensembles are summed in another order.
    parity=1e-9,
    known_at=lambda rows: rows[cleaning.DROPOFF],
)
