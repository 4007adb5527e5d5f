"""A source's rows, by its kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from errors import DataError
from ingestion import files, rest, sql
from ingestion.chunks import Chunk
from ingestion.spec import FileSource, RestSource, SqlSource

if TYPE_CHECKING:
    from ingestion.door import Door
    from ingestion.spec import Cursor, Named


class Reading(Protocol):
    """One reading of a source."""

    def chunks(self, state: dict[str, Any], since: Any) -> Iterator[Chunk]:
        """What `state` does not have yet, which is changed into what the next reading is given.

        `since` is the cursor's highest value so far; rows with that value come again.
        """
        ...

    @property
    def lineage(self) -> dict[str, Any]:
        """Where the rows came from, as `batches.Lineage` has it."""
        ...


def reading(named: Named, door: Door, scratch: Path, size: int | None = None) -> Reading:
    """The reading of a source, `size` rows at once; `scratch` is a folder for what has to lie somewhere."""
    match named.source:
        case FileSource():
            return Files(named, named.source, door, scratch, size)
        case SqlSource():
            return Sql(named.source, size)
        case RestSource():
            return Rest(named.source, size)


class Files:
    """Those files that were not loaded yet."""

    def __init__(self, named: Named, source: FileSource, door: Door, scratch: Path, size: int | None) -> None:
        self._named, self._source, self._scratch, self._size = named, source, scratch, size
        self._columns = list(door.columns.values())
        self._read: dict[str, dict[str, Any]] = {}

    def chunks(self, state: dict[str, Any], since: Any) -> Iterator[Chunk]:
        """Files are told apart by name and mark: `since` is always None."""
        assert since is None
        loaded = state.setdefault("files", {})
        for file in files.new(files.there(self._source, self._named.beside), loaded):
            count = 0
            for chunk in files.read(file, self._columns, self._scratch / "downloads", self._size):
                count += len(chunk.rows)
                yield chunk
            loaded[file.name] = file.mark
            self._read[file.name] = {"at": file.at, "mark": file.mark, "rows": count}

    @property
    def lineage(self) -> dict[str, Any]:
        return {"files": self._read}


class Sql:
    """Rows of a table or a query."""

    def __init__(self, source: SqlSource, size: int | None) -> None:
        self._source, self._size = source, size

    def chunks(self, state: dict[str, Any], since: Any) -> Iterator[Chunk]:
        """The rows from `since` on."""
        return _with_cursor(self._source.cursor, sql.read(self._source, since, state, self._size))

    @property
    def lineage(self) -> dict[str, Any]:
        return {"query": self._source.query or f"{self._source.url} {self._source.table}"}


class Rest:
    """Rows of an API's answers."""

    def __init__(self, source: RestSource, size: int | None) -> None:
        self._source, self._size = source, size

    def chunks(self, state: dict[str, Any], since: Any) -> Iterator[Chunk]:
        """The rows from `since` on, where the API knows such a thing, else all of them; `state` stays."""
        del state
        return _with_cursor(self._source.cursor, rest.read(self._source, since, self._size))

    @property
    def lineage(self) -> dict[str, Any]:
        return {"query": self._source.url}


def _with_cursor(cursor: Cursor | None, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    for chunk in chunks:
        if cursor is not None and cursor.column not in chunk.columns:
            raise DataError(
                f"The cursor's column {cursor.column} is not there; there are: {', '.join(chunk.columns)}."
            )
        yield chunk
