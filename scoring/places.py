"""What `--input` and `--output` name: files, or tables of a database."""

from __future__ import annotations

from collections.abc import Sequence

from errors import UsageError
from scoring import tables
from scoring.files import FORMATS, Files, Folder
from scoring.record import Source, Target
from usecases.files import path


def source(text: str, key: Sequence[str] | None) -> Source:
    """Where rows are read.

    Raises:
        UsageError: there is nothing to score.
        DataError: it cannot be read.
    """
    table = tables.find(text)
    if table is not None:
        return tables.TableSource(table, key)
    if key is not None:
        raise UsageError("--key is for tables of a database; files are read in their own order.")
    return Files(path(text))


def target(text: str, rows: Source) -> Target:
    """Where they are written: what came as CSV becomes CSV in a folder, all else parquet.

    Raises:
        UsageError: nothing can be written there.
    """
    table = tables.find(text)
    if table is not None:
        return tables.TableTarget(table)
    return Folder(path(text), FORMATS[1] if rows.as_text else FORMATS[0])
