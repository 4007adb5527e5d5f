"""Tables and queries of SQL databases as a source, by any driver of SQLAlchemy that is installed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, Select, column, literal_column, select, table, text
from sqlalchemy.engine import URL, make_url

from db.foreign import asking, engine, with_driver
from errors import DataError
from ingestion.chunks import OBJECTS, Chunk, array
from ingestion.secrets import secret
from ingestion.spec import SqlSource


def read(source: SqlSource, since: Any, state: dict[str, Any], size: int | None = None) -> Iterator[Chunk]:
    """The rows in chunks, or the first `size` of them; those from `since` on where the source has a cursor.

    `state` notes whether that is a moment with a zone.

    Raises:
        UsageError: the driver is not installed, or the secret is not there.
        DataError: the database cannot be asked.
    """
    with asking(source.url):
        options = {"stream_results": True, "max_row_buffer": OBJECTS}
        reader = engine(address(source.url, source.password))
        with reader.connect().execution_options(**options) as connection:
            try:
                yield from _chunks(source, connection, since, state, size)
            except BaseException:
                # To close it as usual, MySQL's drivers would first read all that is left.
                connection.invalidate()
                raise


def _chunks(
    source: SqlSource, connection: Connection, since: Any, state: dict[str, Any], size: int | None
) -> Iterator[Chunk]:
    found = connection.execute(_statement(source, _as_it_was(since, state)).limit(size))
    columns = list(found.keys())
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise DataError(f"The query has several columns {', '.join(twice)}: name them apart by AS.")
    for part in found.partitions(OBJECTS):
        arrays = [array(values) for values in zip(*part, strict=True)]
        rows = pa.table(arrays, names=columns)
        _note_zone(source, rows, state)
        yield Chunk(source.table or "the query", columns, rows)


def _statement(source: SqlSource, since: Any) -> Select[Any]:
    every: Select[Any] = select(literal_column("*"))
    if source.query is not None:
        rows = every.select_from(text(f"({source.query.rstrip().rstrip(';')}) AS rows_of_the_query"))
    else:
        schema, _, name = str(source.table).rpartition(".")
        rows = every.select_from(table(name, schema=schema or None))
    if source.cursor is None or since is None:
        return rows
    return rows.where(column(source.cursor.column) >= since)


def _note_zone(source: SqlSource, rows: pa.Table, state: dict[str, Any]) -> None:
    if source.cursor is None or source.cursor.column not in rows.column_names:
        return
    kind = rows.schema.field(source.cursor.column).type
    if pa.types.is_timestamp(kind):
        state["zone"] = kind.tz is not None


def _as_it_was(since: Any, state: dict[str, Any]) -> Any:
    """dlt gives moments back in UTC and in a class of its own, which not every driver takes."""
    if isinstance(since, datetime):
        plain = datetime.fromisoformat(since.isoformat())
        return plain if state.get("zone", True) else plain.replace(tzinfo=None)
    return since


def address(text: str, password: str | None) -> URL:
    """A database's URL with the driver that is used for it, and the secret of that name as the password.

    Raises:
        UsageError: the driver is not installed, or the secret is not there.
    """
    url = with_driver(make_url(text))
    return url.set(password=secret(password)) if password else url
