"""Whole databases: out and back by pg_dump and pg_restore, counted, and put in place all at once."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psycopg2
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError

from db import databases, embedded
from db.session import connect, engine
from errors import DatabaseError

Replacements = Iterable[tuple[str, str]]

_DUMP = ("pg_dump", "--format=custom", "--no-owner", "--no-privileges")
_RESTORE = ("pg_restore", "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
# Rows of partitions are rows of their table.
_TABLES = """
SELECT quote_ident(relname) FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname
"""
# Only those of roles that this one may act for: others keep the databases from being replaced.
_END_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = ANY(:names) AND pg_has_role(usesysid, 'MEMBER')
"""
# What was approved, and the audit trail, stay as they were written.
_TEXT_COLUMNS = """
SELECT quote_ident(c.table_name), quote_ident(c.column_name) FROM information_schema.columns c
JOIN pg_tables t ON t.schemaname = c.table_schema AND t.tablename = c.table_name
WHERE c.table_schema = 'public' AND c.data_type IN ('text', 'character varying')
  AND c.table_name NOT IN ('approvals', 'audit') ORDER BY 1, 2
"""


@contextmanager
def frozen(url: str) -> Iterator[tuple[Connection, str]]:
    """A connection that sees the database as it is now until the block ends, and the snapshot's name."""
    with engine(url).connect() as connection, connection.begin():
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        yield connection, connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()


def dump(url: str, snapshot: str, file: Path) -> None:
    """Write the database as it is in `snapshot` to `file`.

    Raises:
        DatabaseError: pg_dump does not do it.
    """
    with _running(url, *_DUMP, f"--snapshot={snapshot}", f"--file={file}"):
        pass


@contextmanager
def dumped(url: str, snapshot: str) -> Iterator[IO[bytes]]:
    """What `dump` would write, to be read to its end: it is known to be whole only when the block has ended.

    Raises:
        DatabaseError: pg_dump does not do it.
    """
    with _running(url, *_DUMP, f"--snapshot={snapshot}", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.stdout


def restore(url: str, file: Path) -> None:
    """Fill the empty database with what `dump` wrote, wholly or not at all.

    Raises:
        DatabaseError: pg_restore does not do it.
    """
    with _running(url, *_RESTORE, str(file)):
        pass


@contextmanager
def restoring(url: str) -> Iterator[IO[bytes]]:
    """Where to write what `dumped` gave, to fill the empty database; not at all when the block raises.

    Raises:
        DatabaseError: pg_restore does not do it.
    """
    with _running(url, *_RESTORE, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        yield process.stdin


def count(connection: Connection) -> dict[str, int]:
    """How many rows each table has."""
    return {
        table: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()  # noqa: S608 - quoted
        for table in connection.execute(text(_TABLES)).scalars().all()
    }


def revision(connection: Connection) -> str | None:
    """Which version of its tables the database has, as Alembic notes it."""
    if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar_one() is None:
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def version(server: URL) -> int:
    """The server's major version."""
    with connect(databases.text(server)) as connection:
        return int(connection.execute(text("SHOW server_version_num")).scalar_one()) // 10_000


def replace_text(url: str, replacements: Replacements) -> None:
    """Replace each text by another wherever it occurs in a column of text, in one transaction.

    Raises:
        DatabaseError: a column is too short for the result.
    """
    try:
        with engine(url).begin() as connection:
            for table, column in connection.execute(text(_TEXT_COLUMNS)).all():
                for old, new in replacements:
                    connection.execute(
                        text(
                            f"UPDATE {table} SET {column} = replace({column}, :old, :new) "  # noqa: S608 - quoted
                            f"WHERE position(:old IN {column}) > 0"
                        ),
                        {"old": old, "new": new},
                    )
    except DBAPIError as error:
        raise DatabaseError(f"Paths cannot be changed in {make_url(url).database}: {error.orig}") from error


def there(server: URL) -> list[str]:
    """Which of the project's databases the server has."""
    with connect(databases.text(server)) as connection:
        names = connection.execute(text("SELECT datname FROM pg_database")).scalars().all()
    return [name for name in databases.NAMES if name in names]


def make_beside(server: URL) -> dict[str, str]:
    """An empty database beside each of the project's, to be put in its place; their URLs by name."""
    with connect(databases.text(server)) as connection:
        for name in databases.NAMES:
            connection.execute(text(f"DROP DATABASE IF EXISTS {_beside(name)} WITH (FORCE)"))
            connection.execute(text(databases.create(_beside(name))))
    return {name: databases.text(server.set(database=_beside(name))) for name in databases.NAMES}


def drop_beside(server: URL) -> None:
    """Drop what `make_beside` made, and what `put_in_place` has replaced."""
    with connect(databases.text(server)) as connection:
        for name in databases.NAMES:
            for other in (_beside(name), _replaced(name)):
                connection.execute(text(f"DROP DATABASE IF EXISTS {other} WITH (FORCE)"))


def connected(server: URL) -> list[str]:
    """Who is connected to the project's databases, a line each."""
    with connect(databases.text(server)) as connection:
        found = connection.execute(
            text(
                "SELECT datname, pid, application_name, client_addr FROM pg_stat_activity "
                "WHERE datname = ANY(:names) AND pid <> pg_backend_pid() ORDER BY datname, pid"
            ),
            {"names": list(databases.NAMES)},
        )
        return [
            f"{name}: PostgreSQL's process {pid} for {who or 'somebody'} at {where}"
            for name, pid, who, where in found
        ]


def put_in_place(server: URL, last: Callable[[], None], *, end_others: bool = False) -> None:
    """Put the databases beside in the place of the project's, all or none; `last` is done before it holds.

    Whoever is connected keeps them from being replaced, unless `end_others`: that ends their connections.

    Raises:
        DatabaseError: somebody is connected to one of them.
    """
    connection = psycopg2.connect(databases.text(server))
    try:
        with _ending_others(server, wanted=end_others), connection, connection.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database")
            names = {name for (name,) in cursor.fetchall()}
            for name in databases.NAMES:
                if name in names:
                    cursor.execute(f"ALTER DATABASE {name} RENAME TO {_replaced(name)}")
                cursor.execute(f"ALTER DATABASE {_beside(name)} RENAME TO {name}")
            last()
    except psycopg2.errors.ObjectInUse as error:
        raise DatabaseError(
            f"Somebody is still connected: {str(error).strip()}\n"
            "End what works on these databases, and try again."
        ) from error
    finally:
        connection.close()


def differences(expected: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
    """Tables whose number of rows is not the expected one, a line each."""
    return [
        f"{table}: {expected.get(table)} expected, {found.get(table)} found"
        for table in sorted({*expected, *found})
        if expected.get(table) != found.get(table)
    ]


def _beside(name: str) -> str:
    return f"{name}_restoring"


def _replaced(name: str) -> str:
    return f"{name}_replaced"


@contextmanager
def _ending_others(server: URL, *, wanted: bool) -> Iterator[None]:
    """End connections to the project's databases until the block is left.

    Renaming a database keeps new connections waiting, and waits some seconds for those there are to end.
    """
    done = threading.Event()

    def end() -> None:
        with connect(databases.text(server)) as connection:
            while not done.is_set():
                connection.execute(
                    text(_END_OTHERS),
                    {"names": list(databases.NAMES)},
                )
                done.wait(0.05)

    thread = threading.Thread(target=end, daemon=True)
    if wanted:
        thread.start()
    try:
        yield
    finally:
        done.set()
        if wanted:
            thread.join()


@contextmanager
def _running(
    url: str,
    program: str,
    *arguments: str,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    """One of PostgreSQL's programs, which suits the server of this URL, at work on its database."""
    command = [
        str(embedded.programs(version(make_url(url))) / program),
        *arguments,
        f"--dbname={_plain(url)}",
    ]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=errors, env=_environment())
        # Of one that ended before it had read all its exit code is what counts.
        with suppress(BrokenPipeError), process:
            try:
                yield process
            except BrokenPipeError:
                raise
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            errors.seek(0)
            why = errors.read().decode(errors="replace").strip()
            raise DatabaseError(f"{program} ended with {process.returncode}: {why}")


def _environment() -> dict[str, str]:
    """The programs' own library knows no TLS; the one of psycopg2 does, and takes its place."""
    found = sorted((Path(psycopg2.__file__).parents[1] / "psycopg2_binary.libs").glob("libpq-*.so*"))
    return {**os.environ, **({"LD_PRELOAD": str(found[0])} if found else {})}


def _plain(url: str) -> str:
    """For libpq; the password is in PGPASSWORD."""
    return databases.text(make_url(url).set(drivername="postgresql"))
