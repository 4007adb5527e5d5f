"""PgBouncer in transaction mode in front of the store: sessions are shared, and nothing depends on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from stacks.postgresql import dialect
from tests.integration.postgresql import pgbouncer, servers
from tests.integration.postgresql.servers import Server, rows

pytestmark = pgbouncer.needed
# ZenML writes an artifact in two transactions of which one stays open meanwhile: with one connection more
# than there are processes somebody always comes to an end. It is fewer than they'd have without PgBouncer.
PROCESSES = 3
CONNECTIONS = PROCESSES + 1


@pytest.fixture(scope="module")
def pooled(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an empty database, by way of PgBouncer."""
    settings = {"default_pool_size": str(CONNECTIONS), "query_wait_timeout": "20"}
    with (
        servers.database(server.url()) as url,
        pgbouncer.running(server, tmp_path_factory.mktemp("pgbouncer"), **settings) as port,
    ):
        yield make_url(url).set(port=port).render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def opened(pooled: str, start: Any) -> list[str]:
    """What processes found that started on the empty database at once."""
    scripts = [start("opening", pooled) for _ in range(PROCESSES)]
    for script in scripts:
        script.ready()
    for script in scripts:
        script.go()
    return [script.ended() for script in scripts]


def test_processes_that_start_at_once_make_the_tables_by_turns(
    opened: list[str], pooled: str, server: Server
) -> None:
    assert opened == ["default\n"] * PROCESSES
    assert rows(pooled, "SELECT count(*) FROM stack") == [(1,)]
    assert rows(server.url(), "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


def test_processes_at_once_lose_and_double_nothing(opened: list[str], pooled: str, start: Any) -> None:
    turns = 5
    start("working", pooled).ended()
    together = start("working", pooled, "together", str(PROCESSES), str(turns))
    together.ready()
    together.go()
    together.ended()
    indexes = [index for (index,) in rows(pooled, 'SELECT "index" FROM pipeline_run ORDER BY 1')]
    assert indexes == list(range(1, PROCESSES * turns + 2))


def test_a_connection_that_others_use_in_another_time_zone_is_in_utc(pooled: str, server: Server) -> None:
    name = make_url(pooled).database
    rows(server.url(), f"ALTER DATABASE {name} SET timezone = 'Asia/Tokyo'")
    dialect.register()
    engine = create_engine(make_url(pooled).set(drivername=dialect.DRIVER))
    with closing(psycopg2.connect(pooled)) as other, other.cursor() as cursor:
        for _ in range(3):
            cursor.execute("SET TIME ZONE 'America/New_York'")
            other.commit()
            with engine.connect() as connection:
                assert connection.execute(text("SHOW timezone")).scalar_one() == "UTC"
    engine.dispose()
