"""The SQLAlchemy dialect `postgresql+zenml`: psycopg2 with the types and the compiler beside this file."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import types as sqltypes
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2, PGIdentifierPreparer_psycopg2
from sqlalchemy.sql import elements

from stacks.postgresql.compiler import Compiler
from stacks.postgresql.types import Id, Text, TypeCompiler

DRIVER = "postgresql+zenml"
CONNECT_SECONDS = 10
# Below the 30 seconds after which a client of a ZenML server asks it again.
RESTART_SECONDS = 20
_PAUSE = 0.2


class IdentifierPreparer(PGIdentifierPreparer_psycopg2):
    """Names of constraints and indexes: ZenML writes up to MySQL's 64 characters, PostgreSQL takes 63."""

    def _truncate_and_render_maxlen_name(self, name: str, max_: int, _alembic_quote: bool) -> str:
        # Marked as one that SQLAlchemy may shorten, by a hash that is the same in CREATE and DROP.
        label = elements._truncated_label(name)
        return str(super()._truncate_and_render_maxlen_name(label, max_, _alembic_quote))


class ZenMLDialect(PGDialect_psycopg2):
    """PostgreSQL as ZenML's queries expect a database to be."""

    driver = "zenml"
    supports_statement_cache = True
    supports_native_uuid = False
    statement_compiler = Compiler
    type_compiler_cls = TypeCompiler
    preparer = IdentifierPreparer
    colspecs = {
        type_: ours for type_, ours in PGDialect_psycopg2.colspecs.items() if type_ is not sqltypes.Uuid
    } | {sqltypes.String: Text, sqltypes.UUID: Id}

    _reached = False

    def connect(self, *cargs: Any, **cparams: Any) -> Any:
        """A new connection; a server that was reached before is given the time of a restart.

        Nothing has been sent on a connection that was not made, so it is safe to try again. What breaks off
        later is not repeated: it may have been committed.
        """
        deadline = time.monotonic() + RESTART_SECONDS
        while True:
            try:
                connection = super().connect(*cargs, **{"connect_timeout": CONNECT_SECONDS} | cparams)
            except self.loaded_dbapi.OperationalError:
                if not self._reached or time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE)
            else:
                self._reached = True
                return connection

    def do_ping(self, dbapi_connection: Any) -> bool:
        """Whether a connection is still there, before it is used again.

        A server that ends closes its connections, and then there is something to read, while between two
        transactions there is nothing. So this machine is asked, and the server only when in doubt.
        """
        if dbapi_connection.closed:
            return False
        waiting = select.poll()
        waiting.register(dbapi_connection, select.POLLIN)
        return super().do_ping(dbapi_connection) if waiting.poll(0) else True

    def on_connect(self) -> Callable[[Any], Any]:
        """Every connection in UTC: ZenML's datetimes have no zone and mean UTC."""
        before = super().on_connect()

        def connect(connection: Any) -> None:
            if before:
                before(connection)
            with connection.cursor() as cursor:
                cursor.execute("SET TIME ZONE 'UTC'")
            connection.commit()

        return connect


def register() -> None:
    """Make SQLAlchemy find the dialect by its name."""
    registry.register("postgresql.zenml", __name__, ZenMLDialect.__name__)
