"""Two packed model versions, and a place of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from db.migrate import upgrade
from releases import release as releases
from settings import Settings
from tests.integration.releases.titanic import Built, Place, build


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bentos")


@pytest.fixture(scope="session")
def first(store: Path) -> Built:
    return build(store, version=1, strength=0.1)


@pytest.fixture(scope="session")
def second(store: Path) -> Built:
    return build(store, version=2, strength=10.0)


@pytest.fixture
def place(tmp_path: Path, database: str, free_port: int) -> Iterator[Place]:
    settings = Settings(home=tmp_path / "home", endpoint_port=free_port)
    upgrade(database)
    yield Place(settings, database)
    releases.halt(settings, database)
