from __future__ import annotations

from pathlib import Path

import pytest

from db.migrate import upgrade
from tests.integration.ingestion.store import Store


@pytest.fixture
def store(database: str, tmp_path: Path) -> Store:
    """An empty database with the project's tables, and a home folder."""
    upgrade(database)
    return Store(database, tmp_path / "home", tmp_path / "source")
