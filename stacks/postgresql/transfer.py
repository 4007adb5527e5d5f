"""An existing ZenML store, on SQLite or MySQL, moved to PostgreSQL: every row, in one transaction."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, create_engine, func, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool

from stacks.postgresql.schema import LOCK, engine_at

_AT_ONCE = 1_000
"""Rows."""
_USED = ("pipeline_run", "pipeline", "artifact", "model", "secret", "schedule")
"""Tables that say whether anybody has worked on a store: a new one has no rows in them."""

_FOREIGN_KEYS = """
SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = 'f' AND connamespace = current_schema()::regnamespace ORDER BY 1, 2
"""

Row = dict[str, Any]


class TransferRefused(RuntimeError):
    """The store cannot be moved as it is, or not to where it was to go; nothing was changed."""


def transfer(
    source: str, target: str, *, source_key: str | None = None, target_key: str | None = None
) -> dict[str, int]:
    """Copy every row of the ZenML store at `source` into the one at `target`; returns rows by table.

    `source` is `sqlite:///file` or `mysql://user@host/database`, its password in MYSQL_PWD. It is a store of
    the ZenML that is installed here, and is only read: in one transaction, so that it may be in use.
    `target` was made by `initialize` and is in use by nobody; its rows, which are ZenML's defaults, are
    replaced by the source's. The keys are those that each store encrypts secrets with. It is one transaction
    there, too: interrupted, it leaves nothing, and can be done again. When all rows are there already,
    nothing is done.

    Artifacts stay where they are. ZenML finds those of a local artifact store without a path beside the
    SQLite file of old; so its path is written down.

    Raises:
        TransferRefused: with the reason.
    """
    target_engine = engine_at(target).execution_options(isolation_level="READ COMMITTED")
    with _source(source) as there, target_engine.begin() as here:
        tables = _tables(there, here)
        wanted = _count(there, tables)
        here.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        before = _count(here, tables)
        if before == wanted and _users(here, tables) == _users(there, tables):
            return wanted
        _refuse_used(before)
        # Rows refer to one another in circles: the keys are checked when all are there.
        keys = here.execute(text(_FOREIGN_KEYS)).all()
        changes = {
            "secret": _reencrypted(source_key, target_key),
            "stack_component": _with_path(make_url(source)),
        }
        for table, name, _ in keys:
            here.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {name}"))
        for table in tables:
            here.execute(table.delete())
            _copy(there, here, table, changes.get(table.name))
        for table, name, definition in keys:
            _add_key(here, table, name, definition)
        found = _count(here, tables)
        if found != wanted:
            wrong = sorted(name for name in wanted if found[name] != wanted[name])
            raise TransferRefused(f"Not every row arrived, of {', '.join(wrong)}. Nothing was changed.")
        return found


@contextmanager
def _source(url: str) -> Iterator[Connection]:
    """The source, for reading: all that is read is of one moment."""
    try:
        found = make_url(url)
    except ArgumentError as error:
        raise TransferRefused(
            f"{url!r} is no URL. Give sqlite:///FILE or mysql://USER@HOST/DATABASE."
        ) from error
    backend = found.get_backend_name()
    if backend == "sqlite":
        if not found.database or not Path(found.database).is_file():
            raise TransferRefused(f"There is no file {found.database}.")
        file = Path(found.database).absolute()
        found = URL.create("sqlite", database=f"file:{file}", query={"mode": "ro", "uri": "true"})
    elif backend in ("mysql", "mariadb"):
        found = found.set(
            drivername="mysql+pymysql", password=found.password or os.environ.get("MYSQL_PWD", "")
        )
    else:
        raise TransferRefused(f"A store is moved from SQLite or MySQL, not from {backend}.")
    level = {} if backend == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    try:
        with create_engine(found, poolclass=NullPool, **level).connect() as connection:
            if backend != "sqlite":
                connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            else:
                # The driver begins none by itself for reading.
                connection.exec_driver_sql("BEGIN")
            yield connection
    except DBAPIError as error:
        if error.connection_invalidated or "connect" in str(error.orig).lower():
            raise TransferRefused(f"{_shown(found)} cannot be read: {error.orig}") from error
        raise


def _tables(there: Connection, here: Connection) -> Sequence[Table]:
    """ZenML's tables, all of them in both stores, and at the same revision."""
    import zenml
    from sqlmodel import SQLModel
    from zenml.zen_stores import schemas

    assert schemas  # whose import fills the metadata
    revisions = []
    for connection in (there, here):
        if not inspect(connection).has_table("alembic_version"):
            raise TransferRefused(
                f"{_shown(connection.engine.url)} is no ZenML store: it has no alembic_version."
            )
        revisions.append(
            connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
        )
    if revisions[0] != revisions[1]:
        raise TransferRefused(
            f"The source is a store of another ZenML: its revision is {revisions[0]}, that of "
            f"{zenml.__version__} is {revisions[1]}. Open it once with zenml=={zenml.__version__}, which "
            "migrates it, on a copy if you go on using it with the other one."
        )
    return list(SQLModel.metadata.tables.values())


def _count(connection: Connection, tables: Sequence[Table]) -> dict[str, int]:
    return {
        table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
        for table in tables
    }


def _users(connection: Connection, tables: Sequence[Table]) -> set[Any]:
    """Ids, which tell a store from every other one."""
    [users] = [table for table in tables if table.name == "user"]
    return set(connection.execute(select(users.c.id)).scalars().all())


def _refuse_used(count: Mapping[str, int]) -> None:
    for name in _USED:
        if count[name]:
            raise TransferRefused(
                f"The store here is in use already: it has {count[name]} rows in {name}. "
                "A store is moved into an empty one only."
            )


def _copy(there: Connection, here: Connection, table: Table, change: Callable[[Row], Row] | None) -> None:
    read = there.execution_options(yield_per=_AT_ONCE).execute(select(table))
    for rows in read.mappings().partitions():
        copied = [dict(row) for row in rows]
        try:
            here.execute(table.insert(), [change(row) for row in copied] if change else copied)
        except DBAPIError as error:
            raise TransferRefused(f"PostgreSQL refuses rows of {table.name}: {error.orig}") from error


def _add_key(here: Connection, table: str, name: str, definition: str) -> None:
    try:
        here.execute(text(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}"))
    except DBAPIError as error:
        raise TransferRefused(
            f"The source has rows in {table} that refer to rows which are not there: {error.orig}"
        ) from error


def _reencrypted(source_key: str | None, target_key: str | None) -> Callable[[Row], Row]:
    """Change a secret's row from one key to the other."""
    from zenml.zen_stores.schemas import SecretSchema
    from zenml.zen_stores.schemas.secret_schemas import SecretDecodeError

    old, new = _cipher(source_key), _cipher(target_key)

    def change(row: Row) -> Row:
        if not row["values"]:
            return row
        try:
            values = SecretSchema._load_secret_values(row["values"], old)
        except SecretDecodeError as error:
            raise TransferRefused(
                f"The secret {row['name']!r} cannot be decrypted. Give the key that the source encrypts "
                "secrets with, its ZENML_SECRETS_STORE_ENCRYPTION_KEY."
            ) from error
        return row | {"values": SecretSchema._dump_secret_values(values, new)}

    return change


def _with_path(source: URL) -> Callable[[Row], Row]:
    """Write down the path of a local artifact store that has none: a folder beside the SQLite file's."""
    stores = (
        Path(source.database or "").absolute().parents[1] if source.get_backend_name() == "sqlite" else None
    )

    def change(row: Row) -> Row:
        if stores is None or (row["type"], row["flavor"]) != ("artifact_store", "local"):
            return row
        configuration = json.loads(base64.b64decode(row["configuration"]))
        folder = stores / str(row["id"])
        if configuration.get("path") or not folder.is_dir():
            return row
        configuration["path"] = str(folder)
        return row | {"configuration": base64.b64encode(json.dumps(configuration).encode())}

    return change


def _cipher(key: str | None) -> Any:
    from sqlalchemy_utils.types.encrypted.encrypted_type import AesGcmEngine

    if key is None:
        return None
    cipher = AesGcmEngine()
    cipher._update_key(key)
    return cipher


def _shown(url: URL) -> str:
    return url.render_as_string(hide_password=True)
