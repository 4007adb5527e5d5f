"""Batches: rows of one load, with a fingerprint, a file that never changes, and where they came from."""

from __future__ import annotations

import hashlib
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from db import batches as record
from training import batches as listing
from usecases.files import is_here, reaching

if TYPE_CHECKING:
    from upath import UPath

    from db.batches import Recorded


class Lineage(BaseModel):
    """Where the rows of a batch came from, and what was not let in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    files: dict[str, dict[str, Any]] = {}
    """Name → `at`, `mark`, `rows`."""
    query: str | None = None
    """The table, query or URL."""
    cursor: str | None = None
    """Column by which it is told what is new."""
    since: Any = None
    """The cursor's value before this load; None: there was none."""
    until: Any = None
    """And after it."""
    newest: str | None = None
    """When the newest row came, where the use case has such a moment."""
    reasons: dict[str, int] = {}
    """Why rows were rejected, and how many; a row can have several reasons."""
    new_columns: list[str] = []
    """Columns that no load before had, which were left out."""


class Rows:
    """The rows of a batch while they come: written to a parquet file, counted and fingerprinted."""

    def __init__(self, file: Path, schema: pa.Schema, moment: str | None) -> None:
        """`moment` is the column that says when a row came."""
        self.file, self.count = file, 0
        self.newest: str | None = None
        self._writer = pq.ParquetWriter(file, schema)
        self._schema, self._moment, self._sum = schema, moment, 0
        # Beside the reading of what comes next: most of this runs outside Python.
        self._thread = ThreadPoolExecutor(1)
        self._added: Future[None] | None = None

    def add(self, rows: pa.Table) -> None:
        """Take some more of them."""
        self._wait()
        if len(rows):
            self._added = self._thread.submit(self._add, rows)

    def close(self) -> str:
        """No more come; returns the fingerprint."""
        self._wait()
        self._thread.shutdown()
        self._writer.close()
        return fingerprint(self._schema, self.count, self._sum)

    def _wait(self) -> None:
        if self._added is not None:
            self._added.result()
            self._added = None

    def _add(self, rows: pa.Table) -> None:
        self._writer.write_table(rows)
        self.count += len(rows)
        self._sum += sum_of_rows(rows)
        if self._moment in rows.column_names:
            newest = str(pc.max(rows[self._moment]).as_py())
            self.newest = max(newest, self.newest or newest)


def sum_of_rows(rows: pa.Table) -> int:
    """One number for each row by all it holds, added up: the same whichever way rows are ordered or cut."""
    import pandas as pd

    hashes = pd.util.hash_pandas_object(rows.to_pandas(date_as_object=False), index=False, categorize=False)
    return int(np.add.reduce(hashes.to_numpy(), dtype=np.uint64))


def fingerprint(schema: pa.Schema, count: int, total: int) -> str:
    """Digest of what rows hold, and of their columns and types."""
    columns = ",".join(f"{field.name} {field.type}" for field in schema)
    return hashlib.sha256(f"{columns}\n{count}\n{total % 2**64}".encode()).hexdigest()


def publish(file: Path, place: UPath, name: str) -> None:
    """Put a batch's file where it stays.

    Raises:
        DataError: the store cannot be written to.
    """
    target = place / name
    with reaching(target, "write"):
        if is_here(target):
            place.mkdir(parents=True, exist_ok=True)
            shutil.move(file, str(target))
        else:
            target.fs.put_file(str(file), target.path)
            file.unlink()


def settle(url: str, use_case: str, place: UPath) -> None:
    """Bring to an end what loads left: one that is complete counts, of one that is not nothing stays.

    To be called by one process at a time for each use case.
    """
    for batch in record.begun(url, use_case):
        if record.is_complete(url, batch.load_id):
            record.count(url, batch)
        else:
            with reaching(place, "write"):
                (place / batch.file).unlink(missing_ok=True)
            record.give_up(url, batch)
    wanted = listing.Batches(
        batches=[listing.Listed(**_listed(batch)) for batch in record.loaded(url, use_case) if batch.rows]
    )
    if listing.read(place) != wanted:
        listing.write(place, wanted)


def _listed(batch: Recorded) -> dict[str, Any]:
    return batch.model_dump(include=set(listing.Listed.model_fields))
