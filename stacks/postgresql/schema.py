"""ZenML's tables on PostgreSQL: made or migrated by one process at a time, with indexes it leaves out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, create_engine, inspect, select, text
from sqlalchemy.pool import NullPool

# Any number, the same in every version of this package: processes that start at once take turns.
LOCK = 7_301_098
_PAUSE = 0.1
_TRY = text("SELECT pg_try_advisory_xact_lock(:key)")
# The server may be set to end transactions that stay open; not every version has both settings.
_NO_TIMEOUT = text(
    "SELECT set_config(name, '0', true) FROM pg_settings "
    "WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')"
)

_UNINDEXED = """
SELECT DISTINCT c.conrelid::regclass::text AS table_name, quote_ident(a.attname) AS column_name
FROM pg_constraint c
JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
WHERE c.contype = 'f' AND c.connamespace = current_schema()::regnamespace
  AND NOT EXISTS (
    SELECT 1 FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1]
  )
ORDER BY 1, 2
"""

# The newest of a project, which is how lists begin; ZenML has this index on runs alone.
_NEWEST = ("step_run", "artifact_version")


def initialize(url: str) -> None:
    """Make ZenML's tables when there are none, and bring those of an earlier ZenML up to date.

    Safe for processes that start at once on an empty database: one works, the others wait. When all is
    done already it costs one query. `ZENML_STORE_URL` must be this `url`.
    """
    engine = engine_at(url)
    with engine.connect() as connection:
        if _done(connection):
            return
        with _turn(engine):
            if not _done(connection):
                _drop_unfinished(connection)
                _make()
                _index_newest(connection)
                index_foreign_keys(connection)
                _mark_done(connection)


def index_foreign_keys(connection: Connection) -> list[str]:
    """Index every foreign key that has none; returns `table.column` of each.

    MySQL does this by itself. Without it deleting a run reads whole tables.
    """
    missing = connection.execute(text(_UNINDEXED)).all()
    for table, column in missing:
        connection.execute(text(f"CREATE INDEX ON {table} ({column})"))
    return [f"{table}.{column}" for table, column in missing]


def _index_newest(connection: Connection) -> None:
    """Index what is listed by its time, before a foreign key asks for an index on the project alone."""
    for table in _NEWEST:
        index = f"newest_{table}"
        connection.execute(text(f"CREATE INDEX IF NOT EXISTS {index} ON {table} (project_id, created, id)"))


def engine_at(url: str) -> Engine:
    """An engine for this URL, with what ZenML's settings say of TLS and credentials."""
    from zenml.config.global_config import GlobalConfiguration
    from zenml.zen_stores.sql_zen_store import SqlZenStoreConfiguration

    settings = GlobalConfiguration().store_configuration.model_dump()
    where, arguments, _ = SqlZenStoreConfiguration(**settings | {"url": url}).get_sqlalchemy_config()
    return create_engine(where, connect_args=arguments, poolclass=NullPool, isolation_level="AUTOCOMMIT")


@contextmanager
def _turn(engine: Engine) -> Iterator[None]:
    """Hold the lock, by a transaction that stays open: behind a pooler sessions are shared.

    Who waits asks again and again, since a transaction that waits would keep a connection from the others.
    """
    with engine.connect().execution_options(isolation_level="READ COMMITTED") as holder:
        while not holder.execute(_TRY, {"key": LOCK}).scalar_one():
            holder.rollback()
            time.sleep(_PAUSE)
        holder.execute(_NO_TIMEOUT)
        yield


def _drop_unfinished(connection: Connection) -> None:
    """Drop the tables of a process that was killed between making them and noting their revision.

    ZenML does the first in one transaction and the second in another, and takes tables without a revision
    for those of a version too old to be migrated. Only tables of which nobody can have used any are dropped.
    """
    from sqlmodel import SQLModel
    from zenml.zen_stores import schemas

    tables = SQLModel.metadata.tables
    there = set(inspect(connection).get_table_names())
    if not there.issuperset(tables):
        return
    if "alembic_version" in there and connection.execute(text("SELECT 1 FROM alembic_version")).first():
        return
    # Written in a transaction of its own before the revision is.
    settings = schemas.ServerSettingsSchema.__tablename__
    if any(connection.execute(select(tables[name]).limit(1)).first() for name in tables if name != settings):
        return
    quote = connection.dialect.identifier_preparer.quote
    # One statement: all are dropped or none.
    connection.execute(text(f"DROP TABLE {', '.join(map(quote, tables))}"))


def _make() -> None:
    from zenml.config.global_config import GlobalConfiguration

    # Opening the store makes or migrates its tables and the default user, project and stack.
    _ = GlobalConfiguration().zen_store


def _done(connection: Connection) -> bool:
    """Whether these tables were finished for this ZenML version: the comment of its version table says so."""
    comment = connection.execute(
        text("SELECT obj_description(to_regclass('alembic_version'), 'pg_class')")
    ).scalar_one_or_none()
    return comment == _mark()


def _mark_done(connection: Connection) -> None:
    connection.execute(text(f"COMMENT ON TABLE alembic_version IS '{_mark()}'"))


def _mark() -> str:
    import zenml

    return f"ZenML {zenml.__version__}, foreign keys and newest indexed"
