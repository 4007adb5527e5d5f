"""What an application sends and gets: one trip that is about to start, and how long it will take."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, NaiveDatetime

from usecases.contract import Contract

MAX_MILES = 100.0
"""Longer trips than this are meter errors: of 110,128 recorded trips 72 are, up to 201,421 miles."""

Zone = Annotated[int, Field(ge=1, le=265, description="TLC taxi zone, 1 to 265.", examples=[74])]


class TripRequest(BaseModel):
    """A trip as it is known at pick-up. Names are those of the published trip records."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)

    PULocationID: Zone
    DOLocationID: Zone
    lpep_pickup_datetime: Annotated[
        NaiveDatetime,
        Field(
            ge=datetime(2009, 1, 1),
            lt=datetime(2100, 1, 1),
            description="Pick-up, New York local time without a zone.",
            examples=["2024-02-14T08:30:00"],
            # "date-time" would promise that a zone is taken, and indeed ask for one.
            json_schema_extra={"format": "date-time-local"},
        ),
    ]
    trip_distance: Annotated[
        float,
        Field(ge=0, le=MAX_MILES, description="Length of the planned route in miles.", examples=[3.1]),
    ]
    passenger_count: Annotated[
        int | None, Field(ge=0, le=9, description="As the driver entered it; null when not entered.")
    ] = None
    trip_type: Annotated[
        int | None, Field(ge=1, le=2, description="1 hailed in the street, 2 dispatched; null when unknown.")
    ] = None
    VendorID: Annotated[
        int | None, Field(ge=1, le=6, description="Maker of the taxi's meter; null when unknown.")
    ] = None


class TripResponse(BaseModel):
    """How long the trip will take."""

    duration_minutes: Annotated[float, Field(description="Minutes from pick-up to drop-off.")]


def respond(prediction: float) -> TripResponse:
    """Prediction in minutes → response."""
    return TripResponse(duration_minutes=prediction)


CONTRACT = Contract(
    name="taxi",
    title="Duration of a New York green taxi trip",
    task="regression",
    request=TripRequest,
    respond=respond,
    example={
        "PULocationID": 74,
        "DOLocationID": 236,
        "lpep_pickup_datetime": "2024-02-14T08:30:00",
        "trip_distance": 3.1,
    },
)
