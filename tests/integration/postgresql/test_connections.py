"""More clients than connections: who came in is waited for, who did not is told why, and nobody hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from stacks.postgresql import dialect
from tests.integration.postgresql import servers
from tests.integration.postgresql.servers import free_port, rows

CLIENTS = 32


def test_a_crowd_of_clients_is_served_by_one_server_as_zenml_sets_it_up(database: str, start: Any) -> None:
    port = str(free_port())
    start("serving", database, port).ready()
    crowd = start("crowd", f"http://127.0.0.1:{port}", str(CLIENTS))
    crowd.ready()
    crowd.go()
    crowd.ended()
    assert rows(database, "SELECT version_number, count(*) FROM artifact_version GROUP BY 1 ORDER BY 1") == [
        (1, CLIENTS),
        (2, CLIENTS),
        (3, CLIENTS),
    ]


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a server that takes one connection."""
    settings = {"max_connections": "1", "superuser_reserved_connections": "0", "max_wal_senders": "0"}
    with servers.running(tmp_path_factory.mktemp("narrow"), **settings) as server:
        yield server.url()


def test_who_does_not_come_in_is_told_so_at_once(narrow: str) -> None:
    began = time.monotonic()
    with closing(psycopg2.connect(narrow)), pytest.raises(OperationalError, match="too many clients already"):
        _engine(narrow).connect()
    assert time.monotonic() - began < dialect.RESTART_SECONDS / 2


def test_who_was_in_before_waits_until_there_is_room(narrow: str) -> None:
    engine = _engine(narrow)
    engine.connect().close()
    taken = psycopg2.connect(narrow)
    leaving = threading.Timer(0.5, taken.close)
    leaving.start()
    engine.connect().close()
    leaving.join()
    assert taken.closed


def test_nobody_waits_for_ever(narrow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialect, "RESTART_SECONDS", 0.5)
    engine = _engine(narrow)
    engine.connect().close()
    with closing(psycopg2.connect(narrow)), pytest.raises(OperationalError, match="too many clients already"):
        engine.connect()


def _engine(url: str) -> Engine:
    dialect.register()
    return create_engine(make_url(url).set(drivername=dialect.DRIVER), poolclass=NullPool)
