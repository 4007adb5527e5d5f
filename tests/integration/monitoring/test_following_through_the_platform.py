"""A version shadows what serves also where PostgreSQL is reached through the platform's server alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import usecases
from console import following
from console.following import Followed, over, rounds
from console.progress import Progress
from console.replay import Candidate
from db import embedded, migrate
from errors import DatabaseError
from monitoring.log import Database, Log, Remote
from tests.integration.monitoring.records_server import LOGIN, served
from tests.integration.monitoring.test_window import log, tell
from tests.integration.postgresql.servers import rows
from tests.problems import fast

TAXI = usecases.load("taxi")


@contextmanager
def database_itself(url: str) -> Iterator[Log]:
    yield Database(url)


@contextmanager
def through_the_platform(url: str) -> Iterator[Log]:
    with served(url) as address:
        yield Remote(address, *LOGIN)


@pytest.mark.parametrize("reached", [database_itself, through_the_platform])
def test_a_log_that_cannot_be_reached_for_a_while_is_told_once_and_followed_on(
    reached: Any, database: str, server: embedded.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "CATCH_UP_SECONDS", 0.0)
    root, _, name = database.rpartition("/")
    begin = datetime.now(UTC) - timedelta(minutes=1)
    migrate.upgrade(database)
    rows(database, "SELECT prediction_partition(%s)", begin.date())
    log(database, 1, begin)
    followed = Followed(begin, begin)
    lines: list[dict[str, Any]] = []

    def say(said: dict[str, Any]) -> None:
        lines.append(said)
        if len(lines) == 1:
            rows(f"{root}/postgres", f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        elif len(lines) == 2:
            rows(f"{root}/postgres", f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            asked = log(database, 2, followed.until)
            tell(database, asked, 30.0, followed.until)
        else:
            raise KeyboardInterrupt

    with reached(database) as there, pytest.raises(KeyboardInterrupt):
        rounds(TAXI, there, Candidate(4, fast("taxi", "ridge")), followed, 0.1, say)
    first, waits, last = lines
    assert (first["requests"], first["error"], first["answers"]["rows"]) == (1, None, 1)
    assert set(waits) == {"at", "waits"}
    assert last["requests"] == 1
    assert last["since"] == first["until"]
    assert last["followed"] == {"requests": 2, "outcomes": 1}
    # It was answered with 2 minutes, and 30 came true.
    assert (last["error"]["rows"], last["error"]["answered"]) == (1, 28.0)


@pytest.mark.parametrize("reached", [database_itself, through_the_platform])
def test_when_it_ends_while_the_log_is_away_it_says_how_to_have_the_report_later(
    reached: Any, database: str, server: embedded.Server
) -> None:
    root, _, name = database.rpartition("/")
    migrate.upgrade(database)
    begin = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)
    followed = Followed(begin, begin + timedelta(minutes=1))
    candidate = Candidate(4, fast("taxi", "ridge"))
    with reached(database) as there:
        rows(f"{root}/postgres", f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        with pytest.raises(DatabaseError, match=r"replay taxi --version 4 --since 2026-11-26T09:30:00$"):
            over(TAXI, there, followed, candidate, Progress())
