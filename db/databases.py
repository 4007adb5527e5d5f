"""The three databases that everything is stored in: `zenml`, `mlflow` and `modelyard`, on one server."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg2
from sqlalchemy.engine import URL, make_url

from db import embedded
from db.session import advisory_lock
from errors import DatabaseError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from settings import Settings

NAMES = ("zenml", "mlflow", "modelyard")
CONNECT_SECONDS = 10
_PAUSE = 0.25
# What a server that answers says of itself while that will change.
_PASSING = ("starting up", "shutting down", "recovery", "too many", "remaining connection slots")

logger = logging.getLogger("modelyard")


@dataclass(frozen=True)
class Databases:
    """SQLAlchemy URLs of the three databases, none with a password: that is in the environment."""

    zenml: str
    mlflow: str
    modelyard: str
    server: str
    """host:port"""
    embedded: bool


def prepare(settings: Settings) -> Databases:
    """The server running, the three databases there, and the password in this process's PGPASSWORD.

    libpq reads PGPASSWORD by itself; so no URL that ZenML, MLflow or a log keeps ever holds a password.

    Raises:
        DatabaseError: the server does not answer, or may not be used; with the SQL that an administrator
            would have to run.
    """
    server = reach(settings)
    _make_databases(server)
    return Databases(
        **{name: text(server.set(database=name)) for name in NAMES},
        server=f"{server.host or 'localhost'}:{server.port or 5432}",
        embedded=settings.database_url is None,
    )


def reach(settings: Settings) -> URL:
    """The server, running when it is the embedded one: its URL with the database to connect to first.

    The password is in this process's PGPASSWORD.
    """
    return _entered(_server_url(settings))


def enter(login: SecretStr) -> str:
    """URL of the database that `login` is of, without its password, which is in this process's PGPASSWORD."""
    return text(_entered(make_url(login.get_secret_value())))


def _entered(url: URL) -> URL:
    """The URL without its password, which is in this process's PGPASSWORD."""
    if url.password:
        os.environ["PGPASSWORD"] = str(url.password)
    return url._replace(drivername="postgresql", password=None)


def migrated(settings: Settings) -> str | None:
    """URL of the project's own tables, up to date; None where there is no database, or none that answers.

    In a pipeline's pod there is none.
    """
    from db.migrate import upgrade

    if settings.database_url is None and embedded.status(settings.home) is None:
        return None
    try:
        url = prepare(settings).modelyard
        upgrade(url)
    except Exception as error:  # noqa: BLE001 - drivers have errors of their own
        logger.warning("The database has no part in this: %s", type(error).__name__)
        return None
    return url


def wait(settings: Settings, seconds: float) -> None:
    """Return once the server takes connections; it is named in the log when that takes longer than a moment.

    Raises:
        DatabaseError: it refuses this role or its password, which waiting does not change, or it does not
            answer within `seconds`.
    """
    url = reach(settings)
    deadline = time.monotonic() + seconds
    said = False
    while True:
        try:
            return _connect(url).close()
        except DatabaseError as error:
            refused = "FATAL" in str(error) and not any(word in str(error) for word in _PASSING)
            if refused:
                raise
            if time.monotonic() > deadline:
                raise DatabaseError(f"{error}\nIt was asked for {seconds:.0f} s.") from None
        if not said:
            logger.warning("Waiting for PostgreSQL at %s:%s", url.host, url.port or 5432)
            said = True
        time.sleep(_PAUSE)


def _server_url(settings: Settings) -> URL:
    """URL of the server, with the password and the database to connect to first."""
    if settings.database_url is not None:
        url = make_url(settings.database_url.get_secret_value())
        return url if url.database else url.set(database="postgres")
    server = embedded.ensure_running(settings.home)
    return URL.create(
        "postgresql",
        username=server.user,
        password=server.password.get_secret_value(),
        host=server.host,
        port=server.port,
        database="postgres",
    )


def _connect(url: URL) -> psycopg2.extensions.connection:
    try:
        return psycopg2.connect(text(url), connect_timeout=CONNECT_SECONDS)
    except psycopg2.OperationalError as error:
        raise DatabaseError(
            f"PostgreSQL at {url.host}:{url.port or 5432} cannot be used as {url.username}: "
            f"{str(error).strip()}"
        ) from None


def _make_databases(url: URL) -> None:
    connection = _connect(url)
    missing: list[str] = []
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            if not _missing(cursor):
                return
            # By a connection of its own: no transaction may make a database.
            with advisory_lock(text(url), "databases", wait=True):
                missing = _missing(cursor)
                for name in missing:
                    cursor.execute(create(name))
    except psycopg2.errors.InsufficientPrivilege as error:
        statements = "\n".join(f'  {create(name)} OWNER "{url.username}";' for name in missing)
        raise DatabaseError(
            f"The role {url.username} may not make databases on {url.host}: {str(error).strip()}\n"
            f"Ask an administrator for the role's right CREATEDB, or for:\n{statements}"
        ) from None
    finally:
        connection.close()


def _missing(cursor: psycopg2.extensions.cursor) -> list[str]:
    cursor.execute("SELECT datname FROM pg_database WHERE datname = ANY(%s)", (list(NAMES),))
    there = {row[0] for row in cursor.fetchall()}
    return [name for name in NAMES if name not in there]


def create(name: str) -> str:
    """The statement that makes an empty database."""
    # By code point, whatever the server's own collation: lists then sort as they do on SQLite.
    return f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"


def text(url: URL) -> str:
    """The URL as it is written, its password, too, when it has one."""
    return url.render_as_string(hide_password=False)
