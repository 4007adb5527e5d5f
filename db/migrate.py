"""Bring the project's own tables up to date: one process at a time, one query when there is nothing to do."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, text

from db import audit
from db.session import advisory_lock, connect, engine

MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(url: str) -> None:
    """Migrate the database at `url` to the newest revision, in one transaction."""
    with connect(url) as connection:
        if _current(connection) == newest():
            return
        with advisory_lock(url, "migrate", wait=True):
            if _current(connection) != newest():
                _migrate(url)


def _migrate(url: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine(url).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        audit.protect(connection)


def _current(connection: Connection) -> str | None:
    if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar_one() is None:
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def newest() -> str:
    """The newest revision. They are numbered, and a file is named after its own."""
    return max(path.name for path in (MIGRATIONS / "versions").glob("[0-9]*.py")).split("_")[0]
