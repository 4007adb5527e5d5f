"""The 265 taxi zones and their boroughs, from the TLC's published zone list (zones.csv)."""

from __future__ import annotations

import csv
from pathlib import Path

NAMES = ("Bronx", "Brooklyn", "EWR", "Manhattan", "Queens", "Staten Island", "Unknown")


def _boroughs() -> tuple[int, ...]:
    table = [NAMES.index("Unknown")] * 266
    with (Path(__file__).parent / "zones.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["Borough"] in NAMES:
                table[int(row["LocationID"])] = NAMES.index(row["Borough"])
    return tuple(table)


BOROUGHS = _boroughs()
"""Index of a zone → index of its borough in `NAMES`, 266 of them; index 0 is no zone."""
