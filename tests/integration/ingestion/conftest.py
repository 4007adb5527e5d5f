from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool

from db.migrate import upgrade
from tests.integration.ingestion.store import Store
from tests.integration.postgresql import mariadb


@pytest.fixture
def store(database: str, tmp_path: Path) -> Store:
    """An empty database with the project's tables, and a home folder."""
    upgrade(database)
    return Store(database, tmp_path / "home", tmp_path / "source")


@pytest.fixture(scope="session")
def maria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """URL, with its password, of a MariaDB that all tests share."""
    password = "of the tests alone"
    with mariadb.running(tmp_path_factory.mktemp("mariadb"), password) as url:
        yield make_url(url).set(drivername="mysql+pymysql", password=password)


@pytest.fixture(params=["postgresql", pytest.param("mariadb", marks=mariadb.needed)])
def lake(store: Store, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> URL:
    """URL of a database to write to, with its password, which is also the secret `out`."""
    if request.param == "mariadb":
        url: URL = request.getfixturevalue("maria")
        with create_engine(url, poolclass=NullPool).begin() as connection:
            connection.execute(text("DROP DATABASE IF EXISTS lake"))
            connection.execute(text("CREATE DATABASE lake"))
        url = url.set(database="lake")
    else:
        url = make_url(store.url).set(password=os.environ["PGPASSWORD"])
    monkeypatch.setenv("MODELYARD_SECRET_OUT", str(url.password))
    return url
