"""Connections to PostgreSQL, and locks that one process at a time can hold."""

from __future__ import annotations

import os
import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from errors import Busy

_PAUSE = 0.1
_TRY = text("SELECT pg_try_advisory_xact_lock(:key)")
_NAME = text("SELECT set_config('application_name', :who, true)")
_HOLDER = text(
    "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 0 AND l.objid = :key "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
# The server may be set to end transactions that stay open; not every version has both settings.
_NO_TIMEOUT = text(
    "SELECT set_config(name, '0', true) FROM pg_settings "
    "WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')"
)


def engine(url: str) -> Engine:
    """An engine without a pool: commands are short, and a restarted server leaves nothing stale."""
    return create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 10})


@contextmanager
def connect(url: str) -> Iterator[Connection]:
    """One connection, committed statement by statement."""
    with engine(url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


@contextmanager
def advisory_lock(url: str, name: str, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock `name` of the database at `url`; PostgreSQL gives it back when the process dies.

    A transaction that stays open holds it: behind a pooler sessions are shared, a transaction is one's own.
    Who waits asks again and again, since a transaction that waits would keep a connection from the others.

    Raises:
        Busy: another process holds it, and `wait` is false.
    """
    key = {"key": zlib.crc32(name.encode())}
    with engine(url).connect() as connection:
        while not connection.execute(_TRY, key).scalar_one():
            if not wait:
                who = connection.execute(_HOLDER, key).scalar()
                raise Busy(
                    f"Another process is at it: {name}. Wait for its end, or stop it"
                    + (f": {who}." if who else ".")
                )
            connection.rollback()
            time.sleep(_PAUSE)
        connection.execute(_NO_TIMEOUT)
        connection.execute(_NAME, {"who": f"process {os.getpid()} on {socket.gethostname()}"})
        try:
            yield
        finally:
            # Of a server that was restarted meanwhile there is nothing to give back.
            with suppress(DBAPIError):
                connection.rollback()
