"""What the project's tables hold, elsewhere: predictions and what was found about them, day by day.

A day (UTC) is written as a whole, in the place of what was there of it: killed or repeated, it is there once.
What tells whether it is there already stands beside it. A day of which rows were cleaned away stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from sqlalchemy import (
    Column,
    Connection,
    Date,
    DateTime,
    MetaData,
    String,
    Table,
    Text,
    cast,
    create_engine,
    delete,
    func,
    insert,
    select,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from db import models
from db.session import advisory_lock, engine
from errors import DataError
from ingestion.spec import SECRET, Described, Strict, described, folder, locate, parse
from ingestion.sql import address
from usecases.files import is_here, kind, path, reaching

if TYPE_CHECKING:
    from upath import UPath

TABLES: Mapping[str, Table] = {
    "predictions": models.predictions,
    "outcomes": models.outcomes,
    "checks": models.drift_checks,
    "decisions": models.decisions,
}
_ROWS = 20_000


class FileTarget(Strict):
    """A folder of parquet files, one for each day: on this machine, on S3."""

    kind: Literal["files"]
    path: str


class SqlTarget(Strict):
    """A table that the sink makes, and a second one, `NAME_days`, with the days that it has."""

    kind: Literal["sql"]
    url: str
    password: str | None = Field(default=None, pattern=SECRET)
    table: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,50}$")


class Sink(Strict):
    """What goes where."""

    about: str = ""
    what: Literal["predictions", "outcomes", "checks", "decisions"]
    to: Annotated[FileTarget | SqlTarget, Field(discriminator="kind")]


class Exported(BaseModel):
    """What an export did."""

    model_config = ConfigDict(frozen=True)

    what: str
    days: dict[str, int]
    """Those that were written, and how many rows each has."""
    there: int
    """Days that the target had as they are."""


class _Target(Protocol):
    def days(self) -> dict[str, dict[str, Any]]:
        """What it has, by day: `rows` and `mark`."""
        ...

    def write(self, day: str, chunks: Iterator[list[dict[str, Any]]], note: dict[str, Any]) -> None:
        """Put a day's rows in the place of what is there of it, and note that."""
        ...


class Named(Described):
    """A sink and the file that it is described in."""

    sink: Sink


def read(use_case: str, text: str) -> Named:
    """The sink called `text`, or in the file `text`.

    Raises:
        UsageError: there is none, or it is wrong.
    """
    file = locate(text, folder(use_case, "sinks"))
    return Named(**described(file), sink=parse(file, TypeAdapter(Sink)))


def export(use_case: str, named: Named, url: str, *, wait: bool = False) -> Exported:
    """Write the days that the sink does not have, or not as they are now; `url` is of the project's database.

    Raises:
        Busy: another export of the same is under way, and this one is not to `wait`.
        UsageError: the secret is not there.
        DataError: the target cannot be written to.
    """
    sink = named.sink
    table = TABLES[sink.what]
    target = _target(sink, use_case, named.beside)
    with advisory_lock(url, f"export {sink.what} of {use_case} to {sink.to}", wait=wait):
        there = target.days()
        found = _days(url, table, use_case)
        wanted = {
            day: note
            for day, note in found.items()
            if note != there.get(day) and note["rows"] >= there.get(day, note)["rows"]
        }
        for day, note in wanted.items():
            target.write(day, _rows(url, table, use_case, day), note)
    days = {day: int(note["rows"]) for day, note in wanted.items()}
    return Exported(what=sink.what, days=days, there=len(found) - len(days))


def _target(sink: Sink, use_case: str, beside: Path) -> _Target:
    table = TABLES[sink.what]
    if isinstance(sink.to, SqlTarget):
        return _Sql(sink.to, table, use_case)
    text = sink.to.path
    return _Files(path(text if "://" in text else beside / text), table, use_case)


def _days(url: str, table: Table, use_case: str) -> dict[str, dict[str, Any]]:
    """Each day that has rows: how many, and what changes when one of them does."""
    day = cast(func.timezone("UTC", table.c.at), Date)
    # Predictions never change, and are many.
    is_log = table is models.predictions
    mark = func.count() if is_log else func.sum(func.hashtext(cast(func.row_to_json(_whole(table)), Text)))
    query = (
        select(day, func.count(), cast(mark, String))
        .where(table.c.use_case == use_case)
        .group_by(day)
        .order_by(day)
    )
    with engine(url).connect() as connection:
        return {str(at): {"rows": rows, "mark": found} for at, rows, found in connection.execute(query).all()}


def _whole(table: Table) -> Any:
    from sqlalchemy import literal_column

    return literal_column(table.name)


def _rows(url: str, table: Table, use_case: str, day: str) -> Iterator[list[dict[str, Any]]]:
    begin = datetime.combine(date.fromisoformat(day), time(), UTC)
    query = (
        select(table)
        .where(table.c.use_case == use_case, table.c.at >= begin, table.c.at < begin + timedelta(days=1))
        .order_by(table.c.at)
    )
    options = {"stream_results": True, "max_row_buffer": _ROWS}
    with engine(url).connect().execution_options(**options) as connection:
        for part in connection.execute(query).partitions(_ROWS):
            yield [{name: _plain(value) for name, value in row._mapping.items()} for row in part]


def _plain(value: Any) -> Any:
    """JSON as text, moments in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return json.dumps(value) if isinstance(value, dict | list) else value


class _Files:
    def __init__(self, place: UPath, table: Table, use_case: str) -> None:
        self._place, self._use_case, self._record = place, use_case, f"_days-{use_case}.json"
        self._schema = pa.schema([(column.name, _arrow(column)) for column in table.columns])

    def days(self) -> dict[str, dict[str, Any]]:
        file = self._place / self._record
        if kind(file) is None:
            return {}
        with reaching(file):
            return dict(json.loads(file.read_text()))

    def write(self, day: str, chunks: Iterator[list[dict[str, Any]]], note: dict[str, Any]) -> None:
        with (
            self._whole(f"{self._use_case}-{day}.parquet") as draft,
            pq.ParquetWriter(draft, self._schema) as writer,
        ):
            for rows in chunks:
                writer.write_table(pa.Table.from_pylist(rows, self._schema))
        noted = {**self.days(), day: note}
        with self._whole(self._record) as draft:
            draft.write_text(json.dumps(noted, indent=1))

    @contextmanager
    def _whole(self, name: str) -> Iterator[Path]:
        """A file to write to, which is at its place once it is written."""
        import tempfile

        target = self._place / name
        with reaching(target, "write"):
            if is_here(target):
                Path(str(self._place)).mkdir(parents=True, exist_ok=True)
                draft = Path(str(self._place)) / f".{name}.draft"
                yield draft
                draft.replace(str(target))
                return
            with tempfile.TemporaryDirectory() as scratch:
                draft = Path(scratch) / name
                yield draft
                target.fs.put_file(str(draft), target.path)


class _Sql:
    def __init__(self, target: SqlTarget, table: Table, use_case: str) -> None:
        self._use_case = use_case
        self._at = address(target.url, target.password)
        self._naive = self._at.get_backend_name() in ("mysql", "mariadb")
        metadata = MetaData()
        self._table = Table(
            target.table, metadata, *(Column(each.name, _generic(each)) for each in table.columns)
        )
        self._days = Table(
            f"{target.table}_days",
            metadata,
            Column("use_case", String(100), primary_key=True),
            Column("day", String(10), primary_key=True),
            Column("note", Text, nullable=False),
        )
        self._metadata = metadata

    def days(self) -> dict[str, dict[str, Any]]:
        with self._open() as connection:
            # A table of its own transaction: not every database can take one back.
            self._metadata.create_all(connection)
            query = select(self._days.c.day, self._days.c.note).where(self._days.c.use_case == self._use_case)
            return {day: json.loads(note) for day, note in connection.execute(query).all()}

    def write(self, day: str, chunks: Iterator[list[dict[str, Any]]], note: dict[str, Any]) -> None:
        begin = self._moment(datetime.combine(date.fromisoformat(day), time(), UTC))
        rows_of, noted = self._table.c, self._days.c
        mine = (
            rows_of.use_case == self._use_case,
            rows_of.at >= begin,
            rows_of.at < begin + timedelta(days=1),
        )
        with self._open() as connection:
            connection.execute(delete(self._table).where(*mine))
            for rows in chunks:
                connection.execute(insert(self._table), self._fitting(rows))
            connection.execute(delete(self._days).where(noted.use_case == self._use_case, noted.day == day))
            values = {"use_case": self._use_case, "day": day, "note": json.dumps(note)}
            connection.execute(insert(self._days).values(values))

    def _fitting(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        if not self._naive:
            return list(rows)
        return [{name: self._moment(value) for name, value in row.items()} for row in rows]

    def _moment(self, value: Any) -> Any:
        return value.replace(tzinfo=None) if self._naive and isinstance(value, datetime) else value

    @contextmanager
    def _open(self) -> Iterator[Connection]:
        try:
            with create_engine(self._at, poolclass=NullPool).begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            said = str(getattr(error, "orig", None) or error).strip()
            raise DataError(f"Cannot write {self._at.set(password=None)}: {said}") from error


def _arrow(column: Column[Any]) -> pa.DataType:
    kind = column.type.python_type
    if kind is datetime:
        return pa.timestamp("us", "UTC")
    return {int: pa.int64(), float: pa.float64()}.get(kind, pa.string())


def _generic(column: Column[Any]) -> Any:
    from sqlalchemy.dialects.mysql import DATETIME

    if isinstance(column.type, DateTime):
        # MariaDB cuts off the fractions of a second unless it is told not to.
        return DateTime(timezone=True).with_variant(DATETIME(fsp=6), "mysql", "mariadb")
    return column.type if column.type.python_type in (int, float) else Text()
