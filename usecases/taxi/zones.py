"""The 265 taxi zones and their boroughs, from the TLC's published zone list (zones.csv)."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt

NAMES = ("Bronx", "Brooklyn", "EWR", "Manhattan", "Queens", "Staten Island", "Unknown")


def _boroughs() -> npt.NDArray[np.int64]:
    table = np.full(266, NAMES.index("Unknown"), dtype=np.int64)
    with (Path(__file__).parent / "zones.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["Borough"] in NAMES:
                table[int(row["LocationID"])] = NAMES.index(row["Borough"])
    return table


BOROUGHS = _boroughs()
"""Index of a zone → index of its borough in `NAMES`; shape (266,), index 0 is no zone."""
