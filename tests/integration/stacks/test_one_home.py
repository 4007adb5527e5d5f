"""Databases belong to the home folder that has the key of their secrets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.command_line import CommandLine
from tests.integration.postgresql import servers


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    with servers.running(tmp_path_factory.mktemp("server")) as server:
        yield server


def _home(folder: Path, server: servers.Server) -> CommandLine:
    names = ("MODELYARD_DASHBOARD_PORT", "MODELYARD_MLFLOW_PORT")
    ports = {name: str(servers.free_port()) for name in names}
    return CommandLine(folder, servers.free_port(), MODELYARD_DATABASE_URL=server.url(), **ports)


def test_another_home_is_refused_before_it_changes_anything_and_let_in_with_the_key(
    server: servers.Server, tmp_path: Path
) -> None:
    first, second = _home(tmp_path / "first", server), _home(tmp_path / "second", server)
    first.tool("zenml", "secret", "create", "kept", "--key=1")
    before = servers.rows(server.url("zenml"), "SELECT name, updated FROM secret")

    for command in (["up", "--detach"], ["train", "titanic"], ["status"]):
        refused = second(*command)
        assert refused.code == 1
        assert "belong to another home folder" in refused.document["error"]
    assert servers.rows(server.url("zenml"), "SELECT name, updated FROM secret") == before

    key = tmp_path / "first" / "zenml" / "secrets.key"
    noted = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'zenml'"
    assert key.read_text()[:16] not in str(servers.rows(server.url(), noted))
    (tmp_path / "second" / "zenml" / "secrets.key").write_text(key.read_text())
    assert "1" in second.tool("zenml", "secret", "get", "kept")
