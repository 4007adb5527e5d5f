"""Where days of rows are put: a folder of parquet files, or a table of a database."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Index,
    MetaData,
    String,
    Table,
    Text,
    delete,
    insert,
    inspect,
    select,
)
from sqlalchemy.dialects.mysql import DATETIME, LONGTEXT
from sqlalchemy.engine import URL

from db.foreign import asking, engine, insert_rows
from errors import UsageError
from usecases.files import entries, is_here, kind, reaching

if TYPE_CHECKING:
    from upath import UPath

Note = dict[str, Any]
"""On a day: how many `rows`, and a `mark` that is another once one of them is."""
Rows = Iterator[pa.Table]
"""In chunks, by `schema` of their table."""

_MYSQL = ("mysql", "mariadb")
# Whatever the server makes by itself: a day is one transaction, and texts are any.
_OPTIONS: dict[str, Any] = {
    f"{name}_{key}": value for name in _MYSQL for key, value in (("engine", "InnoDB"), ("charset", "utf8mb4"))
}
# MariaDB cuts off the fractions of a second unless it is told not to.
_MOMENT = DateTime(timezone=True).with_variant(DATETIME(fsp=6), *_MYSQL)
# Its TEXT ends at 64 KB.
_TEXT = Text().with_variant(LONGTEXT(), *_MYSQL)


class Target(Protocol):
    """What has days; `str()` of it names the place, without a password."""

    def days(self) -> Mapping[str, Note]:
        """The note on each day that it has."""
        ...

    def write(self, day: str, chunks: Rows, note: Note) -> None:
        """Put a day's rows in the place of what is there of it, and note that."""
        ...


class Files:
    """`NAME-2026-11-26.parquet` in a folder, with the notes in a file beside them."""

    def __init__(self, place: UPath, table: Table, name: str) -> None:
        self._place, self._name, self._notes = place, name, f"_days-{name}.json"
        self._schema = schema(table)

    def __str__(self) -> str:
        return str(self._place)

    def days(self) -> Mapping[str, Note]:
        """The notes on files that are there: one that was deleted is written anew."""
        if kind(self._place) is None:
            return {}
        names = {file.name for file in entries(self._place)}
        return {day: note for day, note in self._noted().items() if self._file(day) in names}

    def write(self, day: str, chunks: Rows, note: Note) -> None:
        """Write the file, then the note."""
        with self._whole(self._file(day)) as draft, pq.ParquetWriter(draft, self._schema) as writer:
            for rows in chunks:
                writer.write_table(rows)
        noted = {**self._noted(), day: note}
        with self._whole(self._notes) as draft:
            draft.write_text(json.dumps(noted, indent=1))

    def _file(self, day: str) -> str:
        return f"{self._name}-{day}.parquet"

    def _noted(self) -> dict[str, Note]:
        file = self._place / self._notes
        if kind(file) is None:
            return {}
        with reaching(file):
            return dict(json.loads(file.read_text()))

    @contextmanager
    def _whole(self, name: str) -> Iterator[Path]:
        """A file to write to, which is at its place once it is written."""
        import tempfile

        target = self._place / name
        with reaching(target, "write"):
            if is_here(target):
                Path(str(self._place)).mkdir(parents=True, exist_ok=True)
                draft = Path(str(self._place)) / f".{name}.draft"
                try:
                    yield draft
                    draft.replace(str(target))
                finally:
                    # On a full disk it would be in the way.
                    draft.unlink(missing_ok=True)
                return
            with tempfile.TemporaryDirectory() as scratch:
                draft = Path(scratch) / name
                yield draft
                target.fs.put_file(str(draft), target.path)


class Sql:
    """A table with the days of many use cases, and a second one, `NAME_days`, with the notes.

    A day and the note on it are one transaction.
    """

    def __init__(self, url: URL, name: str, table: Table, use_case: str, *, what: str) -> None:
        self._engine, self._use_case, self._what = engine(url), use_case, what
        self._shown = url._replace(password=None)
        # It has no moments with a zone; these are in UTC.
        self._zone = None if url.get_backend_name() in _MYSQL else UTC
        self._schema = schema(table, self._zone)
        metadata = MetaData()
        self._rows = Table(
            name,
            metadata,
            *(Column(each.name, _generic(each)) for each in table.columns),
            # By these a day is found.
            Index(f"ix_{name}_day", "use_case", "at"),
            **_OPTIONS,
        )
        self._notes = Table(
            f"{name}_days",
            metadata,
            Column("use_case", String(100), primary_key=True),
            Column("day", String(10), primary_key=True),
            Column("note", Text, nullable=False),
            **_OPTIONS,
        )

    def __str__(self) -> str:
        return f"{self._rows.name} at {self._shown}"

    def days(self) -> Mapping[str, Note]:
        """The notes, once both tables are there: one that was dropped is made and filled anew."""
        noted = self._notes.c
        with self._open() as connection:
            look = inspect(connection)
            is_there, is_noted = (look.has_table(table.name) for table in (self._rows, self._notes))
            if is_there:
                self._check({column["name"] for column in look.get_columns(self._rows.name)}, ours=is_noted)
            elif is_noted:
                connection.execute(delete(self._notes))
            # In this order: not every database can take back that it made a table, and one without notes is
            # not ours.
            self._notes.create(connection, checkfirst=True)
            self._rows.create(connection, checkfirst=True)
            query = select(noted.day, noted.note).where(noted.use_case == self._use_case)
            return {day: json.loads(note) for day, note in connection.execute(query).all()}

    def _check(self, there: set[str], *, ours: bool) -> None:
        if not ours:
            raise UsageError(
                f"There is a table {self} already that no export has made; name another, or drop it."
            )
        if lacking := [column.name for column in self._rows.columns if column.name not in there]:
            raise UsageError(
                f"The table {self} has no column {', '.join(lacking)}: it was not made for {self._what}. "
                f"Name another; or drop it, and all days are written anew."
            )

    def write(self, day: str, chunks: Rows, note: Note) -> None:
        """Write the rows and the note."""
        begin = datetime.combine(date.fromisoformat(day), time(), self._zone)
        rows_of, noted = self._rows.c, self._notes.c
        with self._open() as connection:
            connection.execute(
                delete(self._rows).where(
                    rows_of.use_case == self._use_case,
                    rows_of.at >= begin,
                    rows_of.at < begin + timedelta(days=1),
                )
            )
            for rows in chunks:
                insert_rows(connection, self._rows, rows.cast(self._schema))
            connection.execute(delete(self._notes).where(noted.use_case == self._use_case, noted.day == day))
            values = {"use_case": self._use_case, "day": day, "note": json.dumps(note)}
            connection.execute(insert(self._notes).values(values))

    @contextmanager
    def _open(self) -> Iterator[Connection]:
        with asking(self._shown, "write"), self._engine.begin() as connection:
            yield connection


def schema(table: Table, zone: tzinfo | None = UTC) -> pa.Schema:
    """A table of the project's in Arrow's types; JSON is text."""
    kinds = {int: pa.int64(), float: pa.float64(), datetime: pa.timestamp("us", zone and str(zone))}
    return pa.schema([(each.name, kinds.get(each.type.python_type, pa.string())) for each in table.columns])


def _generic(column: Column[Any]) -> Any:
    if isinstance(column.type, DateTime):
        return _MOMENT
    if column.name == "use_case":
        return String(100)  # an index takes no text of any length
    return column.type if column.type.python_type in (int, float) else _TEXT
