"""From data files to training and validation rows, with the checks that every use case shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from errors import DataError
from training.fingerprint import of_files
from usecases import files as data_files

if TYPE_CHECKING:
    import pandas as pd
    import pandera.pandas as pa

    from usecases.base import Split, UseCase


class Prepared(NamedTuple):
    """Clean rows of one data file or of all, and how many were read and dropped."""

    clean: pd.DataFrame
    rows: int
    dropped: dict[str, int]


def read(use_case: UseCase, files: Sequence[str], expected: Mapping[str, str]) -> pd.DataFrame:
    """Raw rows of the data files.

    Raises:
        DataError: a file is not the one that was fingerprinted (`expected`: name → digest).
    """
    paths = [data_files.path(file) for file in files]
    found = of_files(paths)
    changed = sorted(name for name in found if found[name] != expected.get(name))
    if changed:
        raise DataError(f"Changed since the training was planned: {', '.join(changed)}. Run it again.")
    return use_case.read(paths)


def validate(use_case: UseCase, raw: pd.DataFrame, of: str = "") -> None:
    """Check raw rows against the use case's schema.

    Raises:
        DataError: what was expected, what came, and in how many rows; `of` says in which file.
    """
    _check(use_case, use_case.raw_schema(), raw, of)


def prepare(use_case: UseCase, file: str, expected: Mapping[str, str]) -> Prepared:
    """Read, validate and clean one data file.

    Raises:
        DataError: the file is not the one that was fingerprinted, or breaks the contract; it is named.
    """
    raw = read(use_case, [file], expected)
    validate(use_case, raw, of=file)
    clean, dropped = use_case.clean(raw)
    return Prepared(clean, len(raw), dropped)


def gather(use_case: UseCase, parts: Sequence[Prepared]) -> Prepared:
    """The rows of files that were prepared one by one: what reading them together would have given.

    Raises:
        DataError: a value that must be unique came in more than one file.
    """
    import pandas as pd
    import pandera.pandas as pa

    clean = pd.concat([part.clean for part in parts], ignore_index=True)
    unique = {
        name: pa.Column(unique=True)
        for name, column in use_case.raw_schema().columns.items()
        if column.unique and name in clean
    }
    _check(use_case, pa.DataFrameSchema(unique), clean, "the files together")
    dropped: Counter[str] = Counter()
    for part in parts:
        dropped.update(part.dropped)
    return Prepared(clean, sum(part.rows for part in parts), dict(dropped))


def split(use_case: UseCase, clean: pd.DataFrame, cutoff: str | None, seed: int) -> Split:
    """Training and validation rows.

    Raises:
        DataError: one side is empty.
    """
    parts = use_case.split(clean, cutoff, seed)
    for name, rows in zip(parts._fields, parts, strict=True):
        if rows.empty:
            at = f" at {cutoff}" if cutoff else ""
            raise DataError(
                f"Splitting {len(clean):,} clean rows{at} leaves no {name} rows; "
                "choose other months or another --cutoff."
            )
    return parts


def _check(use_case: UseCase, schema: pa.DataFrameSchema, rows: pd.DataFrame, of: str) -> None:
    from pandera.errors import SchemaErrors

    try:
        schema.validate(rows, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
        lines = []
        for (column, check), group in cases.groupby(["column", "check"], dropna=False, sort=True):
            examples = ", ".join(str(value) for value in group["failure_case"].head(3))
            lines.append(f"  {column}: expected {check}, {len(group)} times not so, such as {examples}")
        data = f"The data of {of}" if of else "The data"
        raise DataError(f"{data} break the contract of {use_case.name}:\n" + "\n".join(lines)) from error
