"""What the project's tables hold, elsewhere: predictions and what was found about them, day by day.

A day (UTC) is written as a whole, in the place of what was there of it: killed or repeated, it is there once.
What tells whether it is there already stands beside it. Days that were cleaned away stay as they are there,
whatever comes for them later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from sqlalchemy import (
    ColumnElement,
    Connection,
    Date,
    String,
    Table,
    Text,
    cast,
    func,
    literal_column,
    null,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from db import models
from db.foreign import asking
from db.session import advisory_lock, engine
from ingestion import targets
from ingestion.spec import SECRET, DatabaseUrl, Described, Strict, described, folder, locate, parse
from ingestion.sql import address
from ingestion.targets import Note, Rows, Target
from usecases.files import path

TABLES: Mapping[str, Table] = {
    "predictions": models.predictions,
    "outcomes": models.outcomes,
    "checks": models.drift_checks,
    "decisions": models.decisions,
}
_ROWS = 20_000
_DAY = timedelta(days=1)
_EMPTY: Note = {"rows": 0, "mark": None}


class FileTarget(Strict):
    """A folder of parquet files, one for each day: on this machine, on S3."""

    kind: Literal["files"]
    path: str


class SqlTarget(Strict):
    """A table that the sink makes, and a second one, `NAME_days`, with the days that it has."""

    kind: Literal["sql"]
    url: DatabaseUrl
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


class Named(Described):
    """A sink and the file that it is described in."""

    sink: Sink


def read(use_case: str, named: str) -> Named:
    """The sink called `named`, or in that file.

    Raises:
        UsageError: there is none, or it is wrong.
    """
    file = locate(named, folder(use_case, "sinks"))
    return Named(**described(file), sink=parse(file, TypeAdapter(Sink)))


def export(use_case: str, named: Named, url: str, *, wait: bool = False) -> Exported:
    """Write the days that the sink does not have, or not as they are now; `url` is of the project's database.

    Raises:
        Busy: another export of the same is under way, and this one is not to `wait`.
        UsageError: the secret is not there, or the target holds something else.
        DataError: the target cannot be written to.
    """
    sink = named.sink
    table = TABLES[sink.what]
    target = _target(sink, use_case, named.beside)
    days: dict[str, int] = {}
    with (
        advisory_lock(url, f"export {sink.what} of {use_case} to {target}", wait=wait),
        # Other use cases may have the same target.
        advisory_lock(url, f"write to {target}", wait=True),
    ):
        there = target.days()
        with _snapshot(url, table) as connection:
            found, kept_from = _noted(connection, table, use_case), _kept_from(connection, table)
        for day in _changed(found, there, table, kept_from):
            with _snapshot(url, table) as connection:
                note, chunks = _day(connection, table, use_case, day)
                # The day may have been cleaned away since.
                if _is_news(day, note, there, table, _kept_from(connection, table)):
                    target.write(day, chunks, note)
                    days[day] = note["rows"]
    return Exported(what=sink.what, days=days, there=len(there.keys() - days.keys()))


def _target(sink: Sink, use_case: str, beside: Path) -> Target:
    table = TABLES[sink.what]
    if isinstance(sink.to, SqlTarget):
        return targets.Sql(
            address(sink.to.url, sink.to.password), sink.to.table, table, use_case, what=sink.what
        )
    written = sink.to.path
    place = path(written if "://" in written else beside / written)
    return targets.Files(place, table, f"{use_case}-{sink.what}")


def _changed(found: Mapping[str, Note], there: Mapping[str, Note], table: Table, kept_from: str) -> list[str]:
    """Days that the target has not as they are now, in their order.

    What is before the first day that is left was cleaned away. A later one may have lost all of its rows: an
    outcome that is told anew is one of the day of the newer telling.
    """
    emptied = dict.fromkeys((day for day in there if found and day > min(found)), _EMPTY)
    now = {**emptied, **found}
    return [day for day in sorted(now) if _is_news(day, now[day], there, table, kept_from)]


def _is_news(day: str, now: Note, there: Mapping[str, Note], table: Table, kept_from: str) -> bool:
    if day in there and day < kept_from:
        return False
    before = there.get(day, _EMPTY)
    # A prediction never changes and leaves its day only to be cleaned away.
    return bool(now["rows"] > before["rows"]) if table is models.predictions else now != before


@contextmanager
def _snapshot(url: str, table: Table) -> Iterator[Connection]:
    """All that is read is as it is at one moment."""
    options = {"isolation_level": "REPEATABLE READ"}
    with _reading(table), engine(url).connect().execution_options(**options) as connection:
        yield connection


def _kept_from(connection: Connection, table: Table) -> str:
    """The first day that no cleaning has touched; "" where there was none."""
    if table not in (models.predictions, models.outcomes):
        return ""
    return str(connection.execute(select(func.max(models.cleanings.c.kept_from))).scalar() or "")


def _noted(connection: Connection, table: Table, use_case: str) -> dict[str, Note]:
    """Each day that has rows: how many, and what changes when one of them does."""
    day = cast(func.timezone("UTC", table.c.at), Date)
    query = select(day, *_note(table)).where(table.c.use_case == use_case).group_by(day)
    return {str(at): {"rows": rows, "mark": mark} for at, rows, mark in connection.execute(query).all()}


def _note(table: Table) -> tuple[ColumnElement[Any], ...]:
    mark: ColumnElement[Any]
    if table is models.predictions:
        mark = null()
    elif table is models.outcomes:
        # There are many, and each time that one is told anew is noted.
        mark = func.extract("epoch", func.max(table.c.received_at))
    else:
        mark = func.sum(func.hashtext(cast(literal_column(table.name), Text)))
    return func.count(), cast(mark, String)


def _day(connection: Connection, table: Table, use_case: str, day: str) -> tuple[Note, Rows]:
    """The note on a day, and its rows."""
    begin = datetime.combine(date.fromisoformat(day), time(), UTC)
    mine = (table.c.use_case == use_case, table.c.at >= begin, table.c.at < begin + _DAY)
    rows, mark = connection.execute(select(*_note(table)).where(*mine)).one()
    return {"rows": rows, "mark": mark}, _rows(connection, table, mine)


def _rows(connection: Connection, table: Table, mine: tuple[ColumnElement[bool], ...]) -> Rows:
    """Moments are in UTC, JSON is text."""
    connection.execute(text("SET LOCAL TIME ZONE 'UTC'"))
    columns = [cast(each, Text) if isinstance(each.type, JSONB) else each for each in table.columns]
    query = select(*columns).where(*mine).order_by(table.c.at)
    options = {"stream_results": True, "max_row_buffer": _ROWS}
    schema = targets.schema(table)
    with _reading(table):
        for part in connection.execute(query, execution_options=options).partitions(_ROWS):
            yield pa.table(
                [pa.array(*each) for each in zip(zip(*part, strict=True), schema.types, strict=True)], schema
            )


def _reading(table: Table) -> Any:
    return asking(f"the table {table.name} of the project's database")
