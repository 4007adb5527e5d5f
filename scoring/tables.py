"""Tables of SQL databases as input and as output, by any driver of SQLAlchemy that is installed.

Rows are read in the order of a key, from the last one on. A part and the record of it are one transaction.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pyarrow as pa
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Date,
    DateTime,
    Double,
    Engine,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    inspect,
    select,
    tuple_,
    types,
    update,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, NoSuchTableError

from db.foreign import asking, engine, insert_rows, with_driver
from errors import UsageError
from scoring.record import CHUNK, Chunk, Record

if TYPE_CHECKING:
    from scoring.rows import Scored

RECORDS = "modelyard_scorings"
REFUSED = "_refused"
_VARIABLE = "env:"
# How a value of a key comes back out of JSON.
_KEYS: Mapping[type, Callable[[Any], Any]] = {
    int: int,
    str: str,
    Decimal: Decimal,
    UUID: UUID,
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
}


@dataclass(frozen=True)
class Place:
    """A table in a database."""

    url: URL
    schema: str | None
    table: str

    def __str__(self) -> str:
        """Without the password, as it may be shown and recorded."""
        name = f"{self.schema}.{self.table}" if self.schema else self.table
        return str(self.url.set(password=None).update_query_dict({"table": name}))


def find(text: str) -> Place | None:
    """The table that `text` names, `dialect://host/database?table=NAME`; None when it is no database's URL.

    `env:NAME` stands for the URL in an environment variable, which may have a password.

    Raises:
        UsageError: it has a password where everybody sees it, names no table, or its driver is not there.
    """
    hidden = text.startswith(_VARIABLE)
    if hidden:
        name = text.removeprefix(_VARIABLE)
        if name not in os.environ:
            raise UsageError(f"{text} means the URL in the environment variable {name}, which is not set.")
        text = os.environ[name]
    if not re.match(r"[a-z0-9]+(\+[a-z0-9_]+)?://", text):
        if hidden:
            raise UsageError(f"The environment variable {name} holds no URL of a database.")
        return None
    try:
        url = make_url(re.sub("^postgres://", "postgresql://", text))
        url.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError):
        if hidden:
            raise UsageError(f"The environment variable {name} holds no URL of a database.") from None
        return None
    if url.password and not hidden:
        raise UsageError(
            "A password was given in the URL of a database, where the list of processes and the shell's "
            "history show it. Leave it out and set PGPASSWORD or write it to ~/.pgpass, or put the whole URL "
            "into an environment variable of your choice and name that: env:NAME."
        )
    table = url.query.get("table")
    if not isinstance(table, str) or not table:
        raise UsageError(f"Name the table: {url.set(password=None)}{'&' if url.query else '?'}table=NAME")
    schema, _, name = table.rpartition(".")
    return Place(with_driver(url).difference_update_query(["table"]), schema or None, name)


class TableSource:
    """The rows of a table in the order of its primary key, or of the unique columns in `key`."""

    as_text = False

    def __init__(self, place: Place, key: Sequence[str] | None = None) -> None:
        self._place, self._engine = place, engine(place.url)
        # It would be made by asking it.
        if place.url.get_backend_name() == "sqlite" and not Path(place.url.database or "").exists():
            raise UsageError(f"There is no file {place.url.database} with a database.")
        with asking(place):
            self._table = _reflect(self._engine, place)
        self.columns: Sequence[str] = [column.name for column in self._table.columns]
        self._key = self._find_key(key)
        self._schema = pa.schema([(column.name, _arrow(column)) for column in self._table.columns])

    def mark(self) -> Mapping[str, Any]:
        """The table and the order of its rows; those that come and go meanwhile do not matter."""
        return {"at": str(self._place), "key": [column.name for column in self._key]}

    def chunks(self, position: list[Any] | None) -> Iterator[Chunk]:
        """Chunks of rows; a position is the key of the row before."""
        decode = [_KEYS[column.type.python_type] for column in self._key]
        while True:
            query = select(self._table).order_by(*self._key).limit(CHUNK)
            if position is not None:
                after = [read(value) for read, value in zip(decode, position, strict=True)]
                query = query.where(
                    self._key[0] > after[0] if len(after) == 1 else tuple_(*self._key) > tuple_(*after)
                )
            with asking(self._place), self._engine.connect() as connection:
                found = connection.execute(query).all()
            if not found:
                return
            last = found[-1]._mapping
            position = [_as_json(last[column.name]) for column in self._key]
            columns = zip(*found, strict=True)
            yield Chunk(
                pa.table([_values(*each) for each in zip(columns, self._schema, strict=True)], self._schema),
                position,
            )

    def _find_key(self, names: Sequence[str] | None) -> list[Column[Any]]:
        if names is None and not self._table.primary_key.columns:
            raise UsageError(
                f"{self._place} has no primary key to read it by: name columns that tell its rows apart, "
                "--key A,B."
            )
        if unknown := [name for name in names or () if name not in self._table.columns]:
            raise UsageError(f"--key names {', '.join(unknown)}; the columns are: {', '.join(self.columns)}.")
        key = (
            [self._table.columns[name] for name in names] if names else list(self._table.primary_key.columns)
        )
        for column in key:
            if column.type.python_type not in _KEYS:
                raise UsageError(
                    f"{column.name} cannot be read by: it is {column.type}. Name others: --key A,B."
                )
        if names:
            self._check_unique(key)
        return key

    def _check_unique(self, key: Sequence[Column[Any]]) -> None:
        distinct = select(*key).where(*(column.is_not(None) for column in key)).distinct().subquery()
        with asking(self._place), self._engine.connect() as connection:
            rows = connection.execute(select(func.count()).select_from(self._table)).scalar_one()
            different = connection.execute(select(func.count()).select_from(distinct)).scalar_one()
        if rows != different:
            raise UsageError(
                f"{', '.join(column.name for column in key)} does not tell the rows of {self._place} apart: "
                f"of {rows:,} rows {different:,} have a value of their own. Name more columns: --key A,B."
            )


class TableTarget:
    """A table that scoring makes; refused rows go to `NAME_refused`, the record to `modelyard_scorings`."""

    def __init__(self, place: Place) -> None:
        self._place, self._engine = place, engine(place.url)
        self._records = Table(
            RECORDS,
            MetaData(schema=place.schema),
            Column("output", String(200), primary_key=True),
            Column("parts", Integer, nullable=False),
            Column("record", Text, nullable=False),
        )

    def recorded(self) -> Record | None:
        """What the table of records says; None when neither it nor the output knows of a scoring."""
        place, ours = self._place, self._records.c
        mine = ours.output == place.table
        with asking(place), self._engine.begin() as connection:
            look = inspect(connection)
            names = [place.table, place.table + REFUSED]
            there = [name for name in names if look.has_table(name, schema=place.schema)]
            if look.has_table(RECORDS, schema=place.schema):
                text = connection.execute(select(ours.record).where(mine)).scalar_one_or_none()
                record = Record.model_validate_json(text) if text else None
                if record is not None and (there or not record.parts):
                    return record
                # Whoever drops the table wants it anew.
                connection.execute(delete(self._records).where(mine))
        if there:
            raise UsageError(
                f"There is a table {there[0]} already that no scoring has made; name another, or drop it."
            )
        return None

    def begin(self, record: Record) -> None:
        """Write the record: of two who begin the same, one is refused."""
        with asking(self._place, "write"), self._engine.begin() as connection:
            self._records.create(connection, checkfirst=True)
            try:
                connection.execute(
                    insert(self._records).values(
                        output=self._place.table, parts=0, record=record.model_dump_json()
                    )
                )
            except IntegrityError:
                raise UsageError(f"Another command has begun to write {self._place} just now.") from None

    def write(self, record: Record, scored: Scored) -> None:
        """Write a part and the record that counts it, in one transaction."""
        with asking(self._place, "write"), self._engine.begin() as connection:
            self._note(connection, record, before=record.parts - 1)
            self._insert(connection, self._place.table, scored.answered)
            if len(scored.refused):
                self._insert(connection, self._place.table + REFUSED, scored.refused)

    def finish(self, record: Record) -> None:
        """Note that all parts are there."""
        with asking(self._place, "write"), self._engine.begin() as connection:
            self._note(connection, record, before=record.parts)

    def _note(self, connection: Connection, record: Record, *, before: int) -> None:
        ours = self._records.c
        done = connection.execute(
            update(self._records)
            .where(ours.output == self._place.table, ours.parts == before)
            .values(parts=record.parts, record=record.model_dump_json())
        )
        if done.rowcount != 1:
            raise UsageError(f"Another command writes {self._place} at the same time; let one of them do it.")

    def _insert(self, connection: Connection, name: str, rows: pa.Table) -> None:
        table = Table(
            name,
            MetaData(schema=self._place.schema),
            *(Column(field.name, _sql(field)) for field in rows.schema),
        )
        table.create(connection, checkfirst=True)
        if not len(rows):
            return
        insert_rows(connection, table, rows)


def _reflect(engine: Engine, place: Place) -> Table:
    try:
        # Views, too.
        return Table(place.table, MetaData(schema=place.schema), autoload_with=engine)
    except NoSuchTableError:
        names = ", ".join(inspect(engine).get_table_names(schema=place.schema)) or "none"
        raise UsageError(f"There is no table {place}; there are: {names}.") from None


def _arrow(column: Column[Any]) -> pa.DataType:
    kind = column.type
    if isinstance(kind, types.Boolean):
        return pa.bool_()
    if isinstance(kind, types.Integer):
        return pa.int64()
    if isinstance(kind, types.Numeric):
        exact = kind.asdecimal and kind.precision is not None and kind.precision <= 38
        return pa.decimal128(kind.precision, kind.scale or 0) if exact else pa.float64()
    if isinstance(kind, types.DateTime):
        return pa.timestamp("us", "UTC" if kind.timezone else None)
    return pa.date32() if isinstance(kind, types.Date) else pa.string()


def _values(values: Sequence[Any], field: pa.Field) -> pa.Array:
    if pa.types.is_string(field.type):
        values = [value if value is None or isinstance(value, str) else str(value) for value in values]
    elif pa.types.is_floating(field.type):
        values = [None if value is None else float(value) for value in values]
    return pa.array(values, field.type)


def _sql(field: pa.Field) -> types.TypeEngine[Any]:
    kind = field.type
    if pa.types.is_boolean(kind):
        return Boolean()
    if pa.types.is_integer(kind):
        return BigInteger()
    if pa.types.is_floating(kind):
        return Double()
    if pa.types.is_decimal(kind):
        return Numeric(kind.precision, kind.scale)
    if pa.types.is_timestamp(kind):
        return DateTime(timezone=kind.tz is not None)
    if pa.types.is_date(kind):
        return Date()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return Text()
    raise UsageError(
        f"The column {field.name} holds {kind}, which has no column in a database; leave it out: --keep A,B."
    )


def _as_json(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal | UUID) else value
