"""The three databases: made where the role may, asked for where it may not, and no password on the way."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pytest

from db import databases, embedded, migrate
from errors import DatabaseError
from settings import Settings

# Signs that a URL must quote, since people's passwords have them.
PASSWORD = "p@ss:w/rd #%20"
NAMES = ["zenml", "mlflow", "modelyard"]


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.Server]:
    """A server of this file alone, which stands for a person's own one."""
    home = tmp_path_factory.mktemp("external")
    yield embedded.ensure_running(home)
    embedded.stop(home)


@pytest.fixture(autouse=True)
def _password_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`prepare` sets it for the process; each test leaves it as it was."""
    monkeypatch.setenv("PGPASSWORD", "")


@pytest.fixture
def role(own_server: embedded.Server) -> Iterator[str]:
    """A role that may log in and nothing else."""
    name = f"role_{secrets.token_hex(4)}"
    _as_administrator(own_server, f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    yield name
    dropped = [f"DROP DATABASE IF EXISTS {database} WITH (FORCE)" for database in NAMES]
    _as_administrator(own_server, *dropped, f"DROP ROLE {name}")


def test_a_role_that_may_make_databases_gets_them(
    own_server: embedded.Server, role: str, tmp_path: Path
) -> None:
    _as_administrator(own_server, f"ALTER ROLE {role} CREATEDB")

    made = databases.prepare(_settings(own_server, role, tmp_path))

    assert _existing(own_server) == set(NAMES)
    assert not made.embedded
    assert made.server == f"127.0.0.1:{own_server.port}"
    assert made == databases.prepare(_settings(own_server, role, tmp_path)), "the second time finds them"


def test_they_sort_by_code_point_as_sqlite_does(
    own_server: embedded.Server, role: str, tmp_path: Path
) -> None:
    _as_administrator(own_server, f"ALTER ROLE {role} CREATEDB")
    made = databases.prepare(_settings(own_server, role, tmp_path))

    with closing(psycopg2.connect(made.zenml)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(name, '' ORDER BY name) FROM unnest(ARRAY['a', 'B', '_']) AS name")
        assert cursor.fetchone() == ("B_a",)


def test_no_url_holds_the_password_and_each_works_by_the_environment(
    own_server: embedded.Server, role: str, tmp_path: Path
) -> None:
    _as_administrator(own_server, f"ALTER ROLE {role} CREATEDB")

    made = databases.prepare(_settings(own_server, role, tmp_path))

    assert PASSWORD not in repr(made)
    assert quote(PASSWORD, safe="") not in repr(made)
    assert os.environ["PGPASSWORD"] == PASSWORD
    for url in (made.zenml, made.mlflow, made.modelyard):
        with closing(psycopg2.connect(url)) as connection:
            assert connection.info.user == role


@pytest.mark.parametrize("there_already", [[], ["mlflow"]])
def test_a_role_that_may_not_make_them_is_told_the_sql_that_helps(
    own_server: embedded.Server, role: str, tmp_path: Path, there_already: list[str]
) -> None:
    for name in there_already:
        _as_administrator(own_server, f"CREATE DATABASE {name} OWNER {role}")
    settings = _settings(own_server, role, tmp_path)

    with pytest.raises(DatabaseError, match="CREATEDB") as refused:
        databases.prepare(settings)
    assert PASSWORD not in str(refused.value)
    advice = [line.strip() for line in str(refused.value).splitlines() if line.strip().startswith("CREATE")]
    _as_administrator(own_server, *advice)

    made = databases.prepare(settings)
    migrate.upgrade(made.modelyard)
    assert _existing(own_server) == set(NAMES)


def test_a_wrong_password_is_said_to_be_wrong_and_not_shown(
    own_server: embedded.Server, role: str, tmp_path: Path
) -> None:
    with pytest.raises(DatabaseError, match=f"cannot be used as {role}.*password") as refused:
        databases.prepare(_settings(own_server, role, tmp_path, password="wr0ng-one"))

    assert "wr0ng-one" not in str(refused.value)


def test_a_server_that_nothing_listens_for_is_named(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        settings = Settings(home=tmp_path, database_url=f"postgresql://me:{'secret'}@127.0.0.1:{port}/any")
        with pytest.raises(DatabaseError, match=f"127.0.0.1:{port}.*refused") as refused:
            databases.prepare(settings)

    assert "secret" not in str(refused.value)


def test_without_a_server_of_ones_own_the_embedded_one_is_used(server: embedded.Server, home: Path) -> None:
    made = databases.prepare(Settings(home=home, database_url=None))

    assert made.embedded
    assert made.server == f"127.0.0.1:{server.port}"
    assert server.password.get_secret_value() not in repr(made)


def _settings(server: embedded.Server, role: str, home: Path, password: str = PASSWORD) -> Settings:
    url = f"postgresql://{role}:{quote(password, safe='')}@{server.host}:{server.port}/postgres"
    return Settings(home=home, database_url=url)


def _existing(server: embedded.Server) -> set[str]:
    rows = _as_administrator(server, "SELECT datname FROM pg_database")
    return {str(row[0]) for row in rows} & set(NAMES)


def _as_administrator(server: embedded.Server, *statements: str) -> list[tuple[object, ...]]:
    with closing(
        psycopg2.connect(
            host=server.host,
            port=server.port,
            user=server.user,
            password=server.password.get_secret_value(),
            dbname="postgres",
        )
    ) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
