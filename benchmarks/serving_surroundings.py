"""What our endpoint has around it when everything is on: keys, and a database for its log."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DATABASE = "benchmark_serving"
"""Beside the user's own, made and dropped by the benchmark: its rows belong in nobody's log."""


@dataclass(frozen=True)
class Surroundings:
    """Files that the endpoint is pointed to."""

    state: Path
    keys: Path
    key: str
    """The one that the file knows."""
    database: Path
    """Holds the URL of the database, password and all."""

    def logged(self) -> int:
        """How many predictions lie in the database."""
        import psycopg2

        with psycopg2.connect(self.database.read_text()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('predictions') IS NOT NULL")
            if cursor.fetchone() != (True,):
                return 0
            cursor.execute("SELECT count(*) FROM predictions")
            return int((cursor.fetchone() or (0,))[0])


@contextmanager
def around(folder: Path, url: str) -> Iterator[Surroundings]:
    """Keys in `folder` and a database on the server of `url`, for as long as the block."""
    from sqlalchemy import text
    from sqlalchemy.engine import make_url

    from db import migrate
    from db.session import connect

    server = make_url(url)
    own = server.set(database=DATABASE)
    drop = text(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    with connect(url) as connection:
        connection.execute(drop)
        connection.execute(text(f"CREATE DATABASE {DATABASE}"))
    try:
        migrate.upgrade(own.render_as_string(hide_password=False))
        known = own.set(drivername="postgresql", password=os.environ.get("PGPASSWORD"))
        key = f"my_benchmark_{secrets.token_urlsafe(32)}"
        digest = hashlib.sha256(key.encode()).hexdigest()
        state = folder / "state"
        state.mkdir()
        yield Surroundings(
            state=state,
            keys=_private(
                folder / "keys",
                f"# name sha256 rights created\nbenchmark {digest} predict,outcomes 2026-01-01\n",
            ),
            key=key,
            database=_private(folder / "database", known.render_as_string(hide_password=False)),
        )
    finally:
        with connect(url) as connection:
            connection.execute(drop)


def _private(file: Path, content: str) -> Path:
    file.touch(0o600)
    file.write_text(content)
    return file
