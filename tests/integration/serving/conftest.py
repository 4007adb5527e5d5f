"""One endpoint for the tests of this folder."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from db import embedded
from tests.conftest import _database
from tests.integration.releases.titanic import Built, build
from tests.integration.serving.live import Live, environment_of, serving


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("bentos"), version=1, strength=0.1)


@pytest.fixture(scope="session")
def live(built: Built, server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """An endpoint with its prediction log in PostgreSQL."""
    folder = tmp_path_factory.mktemp("endpoint")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    with _database(server) as url:
        around = environment_of(folder / "home", url)
        with serving(built, folder, around, port=port) as live:
            yield live
