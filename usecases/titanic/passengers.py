"""The passenger list of the Titanic: where it comes from and what its rows must look like.

data/titanic.csv is the list of 891 passengers that is published in many places for teaching.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pandas as pd

from errors import DataError, UsageError
from usecases import files
from usecases.base import Cleaned, Split

if TYPE_CHECKING:
    import pandera.pandas as pa
    from upath import UPath

LIST = Path(__file__).parent / "data" / "titanic.csv"
SOURCES = {"sample": "the list of 891 passengers, bundled: works offline"}
# Column → type. Named, since pandas would take ages without a gap or a fraction for whole numbers.
COLUMNS = {
    "PassengerId": "int64",
    "Survived": "int64",
    "Pclass": "int64",
    "Sex": "str",
    "Age": "float64",
    "SibSp": "int64",
    "Parch": "int64",
    "Fare": "float64",
    "Embarked": "str",
}
TARGET = "Survived"
VALIDATION_SHARE = 0.3


def locate(source: str, months: Sequence[str] | None, cache: Path) -> list[UPath]:
    """The bundled list, or CSV or parquet files separated by commas.

    Raises:
        UsageError: no such file, or months, which mean nothing here.
        DataError: a store cannot be reached.
    """
    if months:
        raise UsageError("The passenger list knows no months; leave --months out.")
    if source == "sample":
        return [files.path(LIST)]
    return files.named(source, SOURCES)


def read(paths: Sequence[UPath]) -> pd.DataFrame:
    """Rows of CSV or parquet files, only the columns that are used, in the types of `COLUMNS`.

    Raises:
        DataError: a file is neither, lacks a column, or has other values in it.
    """
    frames = []
    for path in paths:
        with files.reaching(path), path.open("rb") as file:
            frames.append(_passengers(path, file))
    return pd.concat(frames, ignore_index=True)


def _passengers(path: UPath, file: IO[bytes]) -> pd.DataFrame:
    kind, read = ("parquet", pd.read_parquet) if path.suffix == ".parquet" else ("CSV", pd.read_csv)
    try:
        frame = read(file)
    except (ValueError, OSError) as error:
        raise DataError(f"{path} is no {kind} file: {error}") from error
    missing = [column for column in COLUMNS if column not in frame]
    if missing:
        raise DataError(f"{path} has no column {', '.join(missing)}; expected {', '.join(COLUMNS)}.")
    try:
        return frame[list(COLUMNS)].astype(COLUMNS)
    except ValueError as error:
        expected = ", ".join(map(" ".join, COLUMNS.items()))
        raise DataError(f"{path} has values of other types than {expected}: {error}") from error


def raw_schema() -> pa.DataFrameSchema:
    """What the rows must look like."""
    import pandera.pandas as pa

    return pa.DataFrameSchema(
        {
            "PassengerId": pa.Column("int64", unique=True),
            "Survived": pa.Column("int64", pa.Check.isin([0, 1])),
            "Pclass": pa.Column("int64", pa.Check.isin([1, 2, 3])),
            "Sex": pa.Column(str, pa.Check.isin(["female", "male"])),
            "Age": pa.Column("float64", pa.Check.in_range(0, 120), nullable=True),
            "SibSp": pa.Column("int64", pa.Check.in_range(0, 20)),
            "Parch": pa.Column("int64", pa.Check.in_range(0, 20)),
            "Fare": pa.Column("float64", pa.Check.ge(0), nullable=True),
            "Embarked": pa.Column(str, pa.Check.isin(["C", "Q", "S"]), nullable=True),
        }
    )


def clean(raw: pd.DataFrame) -> Cleaned:
    """Every passenger is kept: gaps are the candidates' to fill."""
    return Cleaned(raw.reset_index(drop=True), {})


def split(rows: pd.DataFrame, cutoff: str | None, seed: int) -> Split:
    """Training and validation rows with the same share of survivors, drawn with `seed`."""
    from sklearn.model_selection import train_test_split

    train, validation = train_test_split(
        rows, test_size=VALIDATION_SHARE, random_state=seed, stratify=rows[TARGET]
    )
    return Split(train.reset_index(drop=True), validation.reset_index(drop=True))
