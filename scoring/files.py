"""Parquet and CSV files as input, a folder of parts as output: on this machine, on S3, behind other URLs.

A part is written under its final name in one step, then the record is, which says that it counts. Whoever is
killed between the two writes the same part again.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from pydantic import ValidationError

from errors import DataError, UsageError
from scoring.record import CHUNK, Chunk, Record
from usecases.files import entries, etag, is_here, kind, open_parts, reaching

if TYPE_CHECKING:
    from upath import UPath

    from scoring.rows import Scored

FORMATS = (".parquet", ".csv")
# What begins so is no data to those who read a folder: pandas, Spark, DuckDB, Arrow.
RECORD = "_scoring.json"
REFUSED = "_refused"
DRAFT = ".draft"
_BLOCK = 16_000_000
"""Bytes of CSV that are parsed at once."""


class Files:
    """A file, or the files of a folder in the order of their names."""

    def __init__(self, place: UPath) -> None:
        self._place = place
        found = kind(place)
        if found is None:
            raise UsageError(f"There is no file or folder {place} to score.")
        files = [place] if found == "file" else [file for file in entries(place) if file.suffix in FORMATS]
        self.suffixes = sorted({file.suffix for file in files})
        if not self.suffixes or not set(self.suffixes) <= set(FORMATS):
            raise UsageError(f"To score are .parquet and .csv files; {place} is none, and has none.")
        if len(self.suffixes) > 1:
            raise UsageError(
                f"{place} has both .parquet and .csv files; name a folder with one kind of them."
            )
        self.files: Sequence[UPath] = files
        self.as_text = self.suffixes == [".csv"]

    @cached_property
    def columns(self) -> Sequence[str]:
        """The columns of the first file, which the others must have, too."""
        return self._columns(self.files[0])

    def mark(self) -> Mapping[str, Any]:
        """The files by their names and what tells when one of them has changed."""
        return {"at": str(self._place), "files": {file.name: _mark(file) for file in self.files}}

    def chunks(self, position: list[Any] | None) -> Iterator[Chunk]:
        """Each file in chunks of its own; a position is the number of a file and of a row in it."""
        first, skip = position or (0, 0)
        for number, file in enumerate(self.files[first:], first):
            if (names := self._columns(file)) != self.columns:
                raise DataError(
                    f"{file} has other columns than {self.files[0].name}: "
                    f"{', '.join(sorted(set(names) ^ set(self.columns))) or 'in another order'}."
                )
            row = skip if number == first else 0
            read = _csv(file, row) if self.as_text else _parquet(file, row)
            for rows in _rechunk(read):
                row += len(rows)
                yield Chunk(rows, [number, row])

    def _columns(self, file: UPath) -> list[str]:
        with _reading(file) as handle:
            names = _header(handle) if self.as_text else list(pq.read_schema(handle).names)
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise DataError(f"{file} has several columns {', '.join(twice)}.")
        return names


class Folder:
    """A folder of parts, `part-00000.parquet`; refused rows are under `_refused/`, named alike."""

    def __init__(self, place: UPath, suffix: str) -> None:
        self._place, self._suffix = place, suffix

    def recorded(self) -> Record | None:
        """What the record in the folder says; None when the folder is new or empty."""
        found = kind(self._place)
        if found == "file":
            raise UsageError(f"--output must be a folder for the parts; {self._place} is a file.")
        with reaching(self._place):
            try:
                return Record.model_validate_json((self._place / RECORD).read_bytes())
            except FileNotFoundError:
                pass
            except ValidationError as error:
                raise UsageError(f"{self._place / RECORD} is no record of a scoring: {error}") from None
        # Of a command that was killed before its first record there may be a draft.
        if found and any(not file.name.endswith(DRAFT) for file in entries(self._place)):
            raise UsageError(
                f"{self._place} has files that no scoring has written; --output must be new, or empty."
            )
        return None

    def begin(self, record: Record) -> None:
        """Write the record, so that the folder is known as this scoring's."""
        self._write(self._place / RECORD, record.model_dump_json(indent=1).encode())

    def write(self, record: Record, scored: Scored) -> None:
        """Write a part, then the record that counts it."""
        name = f"part-{record.parts - 1:05}{self._suffix}"
        refused = self._place / REFUSED / name
        if len(scored.refused):
            self._write(refused, self._bytes(scored.refused))
        self._write(self._place / name, self._bytes(scored.answered))
        self.begin(record)

    def finish(self, record: Record) -> None:
        """Note that all parts are there."""
        self.begin(record)

    def _bytes(self, table: pa.Table) -> bytes:
        buffer = io.BytesIO()
        if self._suffix == ".csv":
            pa_csv.write_csv(table, buffer)
        else:
            pq.write_table(table, buffer)
        return buffer.getvalue()

    def _write(self, path: UPath, content: bytes) -> None:
        with reaching(path, "write"):
            if not is_here(path):
                path.write_bytes(content)  # an object is there whole or not at all
                return
            here = Path(str(path))
            here.parent.mkdir(parents=True, exist_ok=True)
            draft = here.with_name(f".{here.name}{DRAFT}")
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(here)


def _parquet(file: UPath, skip: int) -> Iterator[pa.RecordBatch]:
    with _reading(file) as handle:
        opened = pq.ParquetFile(handle)
        first = 0
        while first < opened.num_row_groups and skip >= opened.metadata.row_group(first).num_rows:
            skip -= opened.metadata.row_group(first).num_rows
            first += 1
        groups = range(first, opened.num_row_groups)
        if groups:
            yield from _without(opened.iter_batches(CHUNK, row_groups=list(groups)), skip)


def _csv(file: UPath, skip: int) -> Iterator[pa.RecordBatch]:
    with _reading(file) as handle:
        types = dict.fromkeys(_header(handle), pa.string())
        handle.seek(0)
        if not types:
            return
        opened = pa_csv.open_csv(
            handle,
            pa_csv.ReadOptions(block_size=_BLOCK, use_threads=False),
            pa_csv.ParseOptions(newlines_in_values=True),
            # As they stand there: what is to be kept comes out as it came.
            pa_csv.ConvertOptions(column_types=types, strings_can_be_null=False),
        )
        yield from _without(opened, skip)


def _without(batches: Iterator[pa.RecordBatch], skip: int) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        left = batch[min(skip, len(batch)) :]
        skip -= len(batch) - len(left)
        if len(left):
            yield left


def _rechunk(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows in tables of `CHUNK`, the last one of fewer."""
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        while count + len(batch) >= CHUNK:
            there = CHUNK - count
            yield pa.Table.from_batches([*waiting, batch[:there]])
            batch, waiting, count = batch[there:], [], 0
        if len(batch):
            waiting.append(batch)
            count += len(batch)
    if waiting:
        yield pa.Table.from_batches(waiting)


def _header(handle: IO[bytes]) -> list[str]:
    text = io.TextIOWrapper(handle, encoding="utf-8-sig", newline="")
    try:
        return next(csv.reader(text), [])
    finally:
        text.detach()


@contextmanager
def _reading(file: UPath) -> Iterator[IO[bytes]]:
    with reaching(file):
        try:
            with open_parts(file) if file.suffix == ".parquet" else file.open("rb") as handle:
                yield handle
        except (pa.ArrowException, UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"Cannot read {file} as {file.suffix[1:]}: {error}") from error


def _mark(file: UPath) -> str:
    if (mark := etag(file)) is not None:
        return mark
    with reaching(file):
        found = file.stat()
    return f"{found.st_size}:{getattr(found, 'st_mtime_ns', None) or found.st_mtime}"
