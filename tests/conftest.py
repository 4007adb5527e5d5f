"""One embedded PostgreSQL for all tests that need a server, and a fresh database for each that wants one."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

from db import embedded

# As console.command.main has it: threads that wait by spinning make tests slow on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home folder that all tests share; its server is stopped at the end."""
    home = tmp_path_factory.mktemp("home")
    yield home
    embedded.stop(home)


@pytest.fixture(scope="session")
def server(home: Path) -> embedded.Server:
    """The running server of `home`; its password is in this process's environment, as in a command's."""
    server = embedded.ensure_running(home)
    os.environ["PGPASSWORD"] = server.password.get_secret_value()
    return server


@pytest.fixture
def database(server: embedded.Server) -> Iterator[str]:
    """URL of an empty database, dropped after the test."""
    with _database(server) as url:
        yield url


@pytest.fixture(scope="module")
def module_database(server: embedded.Server) -> Iterator[str]:
    """URL of a database that a module's tests share."""
    with _database(server) as url:
        yield url


@contextmanager
def _database(server: embedded.Server) -> Iterator[str]:
    name = f"test_{secrets.token_hex(6)}"
    root = f"postgresql://{server.user}@{server.host}:{server.port}"
    _execute(f"{root}/postgres", f"CREATE DATABASE {name} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    yield f"{root}/{name}"
    _execute(f"{root}/postgres", f"DROP DATABASE {name} WITH (FORCE)")


def _execute(url: str, statement: str) -> None:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


@pytest.fixture
def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
