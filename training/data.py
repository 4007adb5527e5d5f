"""From data files to training and validation rows, with the checks that every use case shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from errors import DataError
from training.fingerprint import of_files

if TYPE_CHECKING:
    import pandas as pd

    from usecases.base import Split, UseCase


def read(use_case: UseCase, files: Sequence[str], expected: Mapping[str, str]) -> pd.DataFrame:
    """Raw rows of the data files.

    Raises:
        DataError: a file is not the one that was fingerprinted (`expected`: name → SHA-256).
    """
    paths = [Path(file) for file in files]
    found = of_files(paths)
    changed = sorted(name for name in found if found[name] != expected.get(name))
    if changed:
        raise DataError(f"Changed since the training was planned: {', '.join(changed)}. Run it again.")
    return use_case.read(paths)


def validate(use_case: UseCase, raw: pd.DataFrame) -> None:
    """Check raw rows against the use case's schema.

    Raises:
        DataError: what was expected, what came, and in how many rows.
    """
    from pandera.errors import SchemaErrors

    try:
        use_case.raw_schema().validate(raw, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
        lines = []
        for (column, check), group in cases.groupby(["column", "check"], dropna=False, sort=True):
            examples = ", ".join(str(value) for value in group["failure_case"].head(3))
            lines.append(f"  {column}: expected {check}, {len(group)} times not so, such as {examples}")
        raise DataError(f"The data break the contract of {use_case.name}:\n" + "\n".join(lines)) from error


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
