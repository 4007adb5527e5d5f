"""Connections to PostgreSQL, and locks that one process at a time can hold."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from errors import DatabaseError


def engine(url: str) -> Engine:
    """An engine without a pool: commands are short, and a restarted server leaves nothing stale."""
    return create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 10})


@contextmanager
def connect(url: str) -> Iterator[Connection]:
    """One connection, committed statement by statement."""
    with engine(url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


@contextmanager
def advisory_lock(connection: Connection, name: str, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock `name` of this database; PostgreSQL gives it back when the process dies.

    Raises:
        DatabaseError: another process holds it, and `wait` is false.
    """
    key = {"key": zlib.crc32(name.encode())}
    if wait:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), key)
    elif not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), key).scalar_one():
        raise DatabaseError(f"Another process is at it: {name}. Wait for its end, or stop it.")
    try:
        yield
    finally:
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)
