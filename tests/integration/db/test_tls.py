"""The project by TLS with `verify-full`, and behind PgBouncer in transaction mode at the same time."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.store.db import utils as mlflow_store
from sqlalchemy.exc import OperationalError

from db import dump, migrate
from tests.integration.command_line import CommandLine
from tests.integration.postgresql import pgbouncer, servers, tls

pytestmark = pgbouncer.needed
ANOTHER_NAME = r'does not match host name "127\.0\.0\.1"'
ANOTHER_AUTHORITY = "certificate verify failed"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tls.Secured]:
    with (
        servers.running(tmp_path_factory.mktemp("postgresql")) as server,
        tls.running(server, tmp_path_factory.mktemp("tls")) as secured,
    ):
        yield secured


def test_the_project_and_its_tools_work(secured: tls.Secured, tmp_path: Path) -> None:
    modelyard = _command_line(tmp_path, secured.verified("postgres", secured.authority))
    done = modelyard("example_pipeline")
    assert done.code == 0, done.stderr
    assert "example_pipeline" in modelyard.tool("zenml", "pipeline", "runs", "list")
    assert "Default" in modelyard.tool("mlflow", "experiments", "search")


def test_a_command_says_why_it_refuses_the_server(secured: tls.Secured, tmp_path: Path) -> None:
    done = _command_line(tmp_path, secured.verified("postgres", secured.another))("example_pipeline")
    assert done.code == 1
    assert f"PostgreSQL at localhost:{secured.port} cannot be used as tests" in done.document["error"]
    assert ANOTHER_AUTHORITY in done.document["error"]


def test_databases_are_dumped_and_restored_by_tls(secured: tls.Secured, tmp_path: Path) -> None:
    for name in ("saved", "restored"):
        servers.rows(secured.verified("postgres", secured.authority), f"CREATE DATABASE {name}")
    source, target = (secured.verified(name, secured.authority) for name in ("saved", "restored"))
    servers.rows(source, "CREATE TABLE kept AS SELECT 1 AS number")
    with dump.frozen(source) as (_, snapshot):
        dump.dump(source, snapshot, tmp_path / "dump")
    dump.restore(target, tmp_path / "dump")
    assert servers.rows(target, "SELECT number FROM public.kept") == [(1,)]


@pytest.fixture(params=[ANOTHER_NAME, ANOTHER_AUTHORITY])
def refused(request: pytest.FixtureRequest, secured: tls.Secured) -> tuple[str, str]:
    """URL of a server that is not the right one, and why."""
    if request.param == ANOTHER_NAME:
        return secured.verified("postgres", secured.authority, tls.ADDRESS), ANOTHER_NAME
    return secured.verified("postgres", secured.another), ANOTHER_AUTHORITY


def test_mlflow_refuses_another_server(refused: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    url, why = refused
    monkeypatch.setattr(mlflow_store, "MAX_RETRY_COUNT", 1)
    with pytest.raises(OperationalError, match=why):
        mlflow_store.create_sqlalchemy_engine_with_retry(url)


def test_the_projects_tables_are_not_made_on_another_server(refused: tuple[str, str]) -> None:
    url, why = refused
    with pytest.raises(OperationalError, match=why):
        migrate.upgrade(url)


def _command_line(home: Path, url: str) -> CommandLine:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    return CommandLine(home, port, MODELYARD_DATABASE_URL=url)
