"""Databases that are not the project's own, which rows are read from and written to.

Any that SQLAlchemy has an installed driver for, by its URL.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, Table, create_engine, insert
from sqlalchemy.engine import URL
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from errors import DataError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

_PASSWORD = "MODELYARD_FOREIGN_PGPASSWORD"  # noqa: S105 - a variable's name
_SECONDS = 10


def keep_password() -> None:
    """Keep PGPASSWORD as it is now: when Modelyard's own database is open, it is the password of that."""
    os.environ.setdefault(_PASSWORD, os.environ.get("PGPASSWORD", ""))


def with_driver(url: URL) -> URL:
    """The URL with the driver that is used for it: `mysql://` means PyMySQL.

    Raises:
        UsageError: it is not installed.
    """
    if url.drivername in ("mysql", "mariadb"):
        url = url.set(drivername=f"{url.drivername}+pymysql")
    try:
        url.get_dialect().import_dbapi()
    except (ImportError, NoSuchModuleError) as error:
        raise UsageError(
            f"The driver of {url.drivername}:// is not installed here ({error}). Install it into .venv, or "
            "take parquet files."
        ) from None
    return url


def engine(url: URL) -> Engine:
    """An engine without a pool. A password that is not in the URL is whatever `keep_password` has kept."""
    arguments: dict[str, Any] = {}
    driver = url.get_dialect().driver
    if driver in ("psycopg2", "pymysql"):
        arguments["connect_timeout"] = _SECONDS
    if driver == "psycopg2" and not url.password and _PASSWORD in os.environ:
        # An empty one lets libpq look into ~/.pgpass, past the PGPASSWORD of Modelyard's own database.
        arguments["password"] = os.environ[_PASSWORD]
    return create_engine(url, poolclass=NullPool, connect_args=arguments)


@contextmanager
def asking(place: object, what: str = "read") -> Iterator[None]:
    """What a database says, as an error for a person; `place` must show no password.

    Raises:
        DataError: it cannot be reached, or refuses.
    """
    try:
        yield
    except SQLAlchemyError as error:
        raise DataError(f"Cannot {what} {place}: {_said(error)}") from error


def insert_rows(connection: Connection, table: Table, rows: pa.Table) -> None:
    """Add rows of the table's columns, in their order."""
    if connection.dialect.driver == "psycopg2":
        _copy(connection, table, rows)
    else:
        connection.execute(insert(table), rows.to_pylist())


def _copy(connection: Connection, table: Table, rows: pa.Table) -> None:
    """Into PostgreSQL by its own bulk format, ten times as fast as by INSERT."""
    from pyarrow import csv

    buffer = io.BytesIO()
    # Texts are in quotes, and what is null is not: so the server tells the empty text from null.
    csv.write_csv(rows, buffer, csv.WriteOptions(include_header=False))
    buffer.seek(0)
    quote = connection.dialect.identifier_preparer
    names = ", ".join(quote.quote(column.name) for column in table.columns)
    cursor: Any = connection.connection.cursor()
    with cursor:
        cursor.copy_expert(f"COPY {quote.format_table(table)} ({names}) FROM STDIN (FORMAT csv)", buffer)


def _said(error: SQLAlchemyError) -> str:
    cause = getattr(error, "orig", None) or error
    # MySQL's drivers give a number and a sentence; PostgreSQL's show where in a statement that nobody typed.
    said = cause.args[1] if len(cause.args) == 2 else str(cause).partition("\nLINE ")[0]
    return " ".join(str(said).split())
