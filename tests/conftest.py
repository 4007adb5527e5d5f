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


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an S3 server that all tests share."""
    from tests import s3 as tests_s3  # with Amazon's client, which takes its time

    with tests_s3.serving(tmp_path_factory.mktemp("s3")) as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of an empty bucket, and an environment as of a person who uses it."""
    from s3fs import S3FileSystem

    from tests import s3 as tests_s3

    for name, value in tests_s3.environment(s3).items():
        monkeypatch.setenv(name, value)
    yield tests_s3.make_bucket(s3)
    # They would go on with the server and the keys of this test.
    S3FileSystem.clear_instance_cache()
