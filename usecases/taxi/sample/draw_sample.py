"""Draw the bundled sample from the published months: python draw_sample.py FOLDER

FOLDER holds green_tripdata_2024-01.parquet and green_tripdata_2024-02.parquet as published. Each month gives
a fifth of its rows, drawn with a fixed seed, dirt included: too short and too long trips, distances of 0
and absurd ones come in their real proportions.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

MONTHS = ("2024-01", "2024-02")
SHARE = 0.2
SEED = 42
COLUMNS = [
    "VendorID",
    "lpep_pickup_datetime",
    "lpep_dropoff_datetime",
    "PULocationID",
    "DOLocationID",
    "passenger_count",
    "trip_distance",
    "trip_type",
]


def draw(folder: Path) -> pd.DataFrame:
    """The sampled rows in order of time."""
    parts = [
        pd.read_parquet(folder / f"green_tripdata_{month}.parquet", columns=COLUMNS).sample(
            frac=SHARE, random_state=SEED
        )
        for month in MONTHS
    ]
    rows = pd.concat(parts).sort_values(["lpep_pickup_datetime", "lpep_dropoff_datetime"], kind="stable")
    return rows.reset_index(drop=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    target = Path(__file__).parent / "green_tripdata_sample.parquet"
    draw(Path(sys.argv[1])).to_parquet(target, index=False, compression="zstd", compression_level=19)
    sys.stderr.write(f"{target.name}: {target.stat().st_size:,} bytes\n")
