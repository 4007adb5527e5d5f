"""From raw trip records to rows that a model learns from and is judged by."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pandas as pd

from errors import DataError, UsageError
from usecases.base import Cleaned, Split

if TYPE_CHECKING:
    import pandera.pandas as pa

PICKUP = "lpep_pickup_datetime"
DROPOFF = "lpep_dropoff_datetime"
TARGET = "duration"
# The reference system's rule, kept so that figures can be compared: shorter is a cancelled trip,
# longer a meter that was not stopped.
MIN_MINUTES = 1
MAX_MINUTES = 60


def raw_schema() -> pa.DataFrameSchema:
    """Columns that are used; the publisher's other columns may come or go."""
    import pandera.pandas as pa

    zone = pa.Check.in_range(1, 265)
    return pa.DataFrameSchema(
        {
            PICKUP: pa.Column("datetime64[us]"),
            DROPOFF: pa.Column("datetime64[us]"),
            "PULocationID": pa.Column("int32", zone),
            "DOLocationID": pa.Column("int32", zone),
            "trip_distance": pa.Column("float64", pa.Check.ge(0)),
            "passenger_count": pa.Column("float64", pa.Check.in_range(0, 9), nullable=True),
            "trip_type": pa.Column("float64", pa.Check.isin([1, 2]), nullable=True),
            "VendorID": pa.Column("int32", pa.Check.in_range(1, 6)),
        },
        strict=False,
    )


def clean(raw: pd.DataFrame) -> Cleaned:
    """Add `duration` in minutes and keep trips of 1 to 60 minutes."""
    minutes = (raw[DROPOFF] - raw[PICKUP]).dt.total_seconds() / 60
    short, long = minutes < MIN_MINUTES, minutes > MAX_MINUTES
    kept = raw.assign(**{TARGET: minutes})[~short & ~long].reset_index(drop=True)
    dropped = {
        f"shorter than {MIN_MINUTES} minute": int(short.sum()),
        f"longer than {MAX_MINUTES} minutes": int(long.sum()),
    }
    return Cleaned(kept, dropped)


def split(rows: pd.DataFrame, cutoff: str | None, seed: int) -> Split:
    """Trips that began before `cutoff` (ISO date) to learn from, later ones to judge by.

    Raises:
        UsageError: `cutoff` is no date.
        DataError: there is none.
    """
    if cutoff is None:
        raise DataError("Taxi trips are split by time: a cutoff date is needed, such as 2024-02-01.")
    try:
        at = pd.Timestamp(date.fromisoformat(cutoff))
    except ValueError as error:
        raise UsageError(f"The cutoff must be a date such as 2024-02-01; got {cutoff!r}.") from error
    before = rows[PICKUP] < at
    return Split(rows[before].reset_index(drop=True), rows[~before].reset_index(drop=True))
