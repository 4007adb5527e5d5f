"""Files as a source: which are new, and their rows."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from errors import DataError
from ingestion import web
from ingestion.chunks import ROWS, Chunk, of_objects
from ingestion.spec import MONTH, FileSource
from training.fingerprint import of_data
from training.months import expand
from usecases.files import entries, kind, open_parts, path, reaching

if TYPE_CHECKING:
    from upath import UPath

FORMATS = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_BLOCK = 16_000_000
"""Bytes of CSV that are parsed at once."""


class File(NamedTuple):
    """A file of a source, as it is now."""

    at: str
    mark: str
    """Changes when its content does: a digest, or a store's own mark."""
    format: str

    @property
    def name(self) -> str:
        return self.at.rsplit("/", 1)[-1]


def there(source: FileSource, beside: Path) -> list[File]:
    """All files of the source, by name; `beside` is the folder that a relative path begins at.

    Raises:
        DataError: there is none, two have one name, or a store cannot be asked.
    """
    found = [File(at, mark, _format(source, at)) for at, mark in _marked(source, beside)]
    if not found:
        raise DataError(f"There is no file {_absolute(source.path, beside)}.")
    names = [file.name for file in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"Files are told apart by name, and several are called {', '.join(twice)}.")
    return sorted(found, key=lambda file: file.name)


def new(found: Sequence[File], loaded: Mapping[str, str]) -> list[File]:
    """Those that are not in `loaded` (name → mark).

    Raises:
        DataError: one has changed since it was loaded.
    """
    changed = [file.name for file in found if loaded.get(file.name, file.mark) != file.mark]
    if changed:
        raise DataError(
            f"Changed since they were loaded: {', '.join(changed)}. `--full` loads everything anew in its "
            "place; a file under another name adds to it."
        )
    return [file for file in found if file.name not in loaded]


def read(file: File, columns: Sequence[str], scratch: Path, size: int | None = None) -> Iterator[Chunk]:
    """The rows of a file, `size` at once; of parquet only the `columns`.

    The folder `scratch` takes what has to be downloaded whole.

    Raises:
        DataError: it cannot be read, or is damaged.
    """
    at = path(file.at)
    if web.is_web(file.at):
        scratch.mkdir(parents=True, exist_ok=True)
        copy = scratch / file.name
        web.fetch(file.at, copy)
        at = path(copy)
    with _reading(at, file) as handle:
        if file.format == "parquet":
            yield from _parquet(file.at, handle, columns, size or ROWS)
        elif file.format == "csv":
            yield from _csv(file.at, handle)
        else:
            yield from of_objects(file.at, _jsonl(file.at, handle), size)
    if web.is_web(file.at):
        Path(str(at)).unlink()


def _marked(source: FileSource, beside: Path) -> Iterator[tuple[str, str]]:
    text = _absolute(source.path, beside)
    if source.since is not None:
        months = expand(f"{source.since}..{datetime.now(UTC):%Y-%m}")
        candidates = [text.replace(MONTH, month) for month in months]
    else:
        candidates = [text]
    for each in candidates:
        if web.is_web(each):
            mark = web.mark(each)
            if mark is not None:
                yield each, mark
        else:
            yield from ((str(at), of_data(at)) for at in _lying(each))


def _lying(text: str) -> list[UPath]:
    at = path(text)
    if re.search(r"[*?\[]", at.name):
        with reaching(at):
            return [found for found in sorted(at.parent.glob(at.name)) if kind(found) == "file"]
    what = kind(at)
    if what == "directory":
        return [file for file in entries(at) if file.suffix in FORMATS]
    return [at] if what == "file" else []


def _absolute(text: str, beside: Path) -> str:
    return text if "://" in text else str(beside / Path(text).expanduser())


def _format(source: FileSource, at: str) -> str:
    found = source.format or FORMATS.get(Path(at).suffix)
    if found is None:
        raise DataError(f"{at} is no {', '.join(FORMATS)}; say what it is: `format: csv`.")
    return found


def _parquet(origin: str, handle: IO[bytes], columns: Sequence[str], size: int) -> Iterator[Chunk]:
    opened = pq.ParquetFile(handle)
    names = list(opened.schema_arrow.names)
    wanted = [name for name in names if name in set(columns)]
    for batch in opened.iter_batches(size, columns=wanted):
        yield Chunk(origin, names, pa.Table.from_batches([batch]))


def _csv(origin: str, handle: IO[bytes]) -> Iterator[Chunk]:
    text = io.TextIOWrapper(handle, encoding="utf-8-sig", newline="")
    names = next(csv.reader(text), [])
    text.detach()
    handle.seek(0)
    if not names:
        return
    opened = pa_csv.open_csv(
        handle,
        pa_csv.ReadOptions(block_size=_BLOCK),
        pa_csv.ParseOptions(newlines_in_values=True),
        # As texts: what type a column has is the use case's to say, not the first rows'.
        pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
        ),
    )
    for batch in opened:
        yield Chunk(origin, names, pa.Table.from_batches([batch]))


def _jsonl(origin: str, handle: IO[bytes]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(handle, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"Line {number} of {origin} is no JSON: {error}") from error
        if not isinstance(row, dict):
            raise DataError(f"Line {number} of {origin} is no JSON object.")
        yield row


@contextmanager
def _reading(at: UPath, file: File) -> Iterator[IO[bytes]]:
    with reaching(at):
        try:
            with open_parts(at) if file.format == "parquet" else at.open("rb") as handle:
                yield handle
        except (pa.ArrowException, UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"Cannot read {file.at} as {file.format}: {error}") from error
