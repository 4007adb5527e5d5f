"""The three steps of the hello world, as plain functions; each ends with a check of what it made."""

from __future__ import annotations

import statistics
from pathlib import Path

import pandas as pd
from upath import UPath

from errors import DataError

LIST = Path(__file__).parent / "data" / "titanic.csv"
EXPORTED = "titanic_clean.csv"
KEPT = ["Age", "Fare", "Parch", "Pclass", "SibSp", "Survived"]


def load_titanic(path: Path = LIST) -> pd.DataFrame:
    """The passenger list.

    Raises:
        DataError: it has no rows, or lacks a column that the next step needs.
    """
    frame = pd.read_csv(path)
    missing = [column for column in KEPT if column not in frame]
    if frame.empty or missing:
        raise DataError(
            f"{path} must have rows and the columns {', '.join(KEPT)}; "
            f"got {len(frame)} rows, without {', '.join(missing) or 'none of them missing'}."
        )
    return frame


def fill_in_missing_values(titanic: pd.DataFrame) -> pd.DataFrame:
    """The numeric columns, gaps filled with the column's upper median.

    Raises:
        DataError: a gap is left, since a column has no value at all.
    """
    kept = titanic[KEPT]
    empty = [column for column in KEPT if kept[column].notna().sum() == 0]
    if empty:
        raise DataError(f"Nothing to fill the gaps of {', '.join(empty)} with: they have no value at all.")
    return kept.fillna({column: statistics.median_high(kept[column].dropna()) for column in KEPT})


def export_titanic_clean(titanic: pd.DataFrame, path: UPath) -> None:
    """Write the rows to `path` as CSV, whole or not at all.

    Raises:
        DataError: the file does not read back with the same values.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(titanic.to_csv(index=False))
    with draft.open() as file:
        written = pd.read_csv(file)
    if not written.equals(titanic.reset_index(drop=True)):
        raise DataError(f"{draft} does not read back as it was written.")
    draft.rename(path)
