"""Where PostgreSQL cannot be reached, the platform's server gives checks the same rows and notes them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

import usecases
from db import checks, migrate
from errors import DatabaseError
from monitoring import log as logs
from monitoring import window as windows
from monitoring.log import Database, Remote
from tests.integration.monitoring.records_server import LOGIN, served
from tests.integration.monitoring.test_window import NOON, log, log_many, tell
from tests.integration.postgresql.servers import rows

TAXI = usecases.load("taxi")
DAY = timedelta(days=1)


@pytest.fixture
def url(database: str) -> str:
    migrate.upgrade(database)
    rows(database, "SELECT prediction_partition('2026-11-26'), prediction_partition('2026-11-25')")
    return database


@pytest.fixture
def remote(url: str) -> Iterator[Remote]:
    with served(url) as address:
        yield Remote(address, *LOGIN)


def a_check(until: datetime = NOON, **more: Any) -> dict[str, Any]:
    about = {"use_case": "taxi", "model_version": 3, "since": until - DAY, "until": until}
    return {
        **about,
        "verdict": "good",
        "found": {"rows": 7, "said": "naïve 東京"},
        "zenml_run": "run",
        **more,
    }


def test_what_came_and_what_is_drawn_of_it_is_the_same(url: str, remote: Remote) -> None:
    log_many(url, 3_000)
    odd = log(url, 7, passenger_count=None, lpep_pickup_datetime="2024-02-29T23:59:59.123456")
    tell(url, odd, 12.345678901234567, NOON)
    window = windows.survey(url, "taxi", NOON, NOON + DAY)
    assert window is not None
    for known, count in ((False, 3_001), (True, 1)):
        here, there = (list(source.draw(window, 3, known=known)) for source in (Database(url), remote))
        assert there == here
        assert len(there) == count
        assert len(windows.frame(TAXI, there, known=known).rows) == count


def test_what_a_check_would_look_at_is_the_same(url: str, remote: Remote) -> None:
    assert remote.pending("taxi", None).window is None
    long_ago = datetime.now(UTC) - DAY
    rows(url, "SELECT prediction_partition(%s)", long_ago.date())
    log(url, 1, long_ago)
    number = remote.record(a_check(long_ago - timedelta(hours=1), verdict="watch"))
    for since in (None, long_ago):
        here, there = (source.pending("taxi", since) for source in (Database(url), remote))
        assert there.window is not None
        assert here.window is not None
        assert there.window.rows == here.window.rows == {3: 1}
        assert there.window.since == here.window.since
        assert there.newest == here.newest
        assert there.newest is not None
        assert there.newest.id == number


def test_a_check_reaches_back_a_whole_period_but_only_once_something_new_came(
    url: str, remote: Remote
) -> None:
    week, now = timedelta(days=7), datetime.now(UTC)
    for days in (1, 3):
        rows(url, "SELECT prediction_partition(%s)", (now - days * DAY).date())
    log(url, 1, now - 3 * DAY)
    remote.record(a_check(now - 2 * DAY))
    for source in (Database(url), remote):
        assert source.pending("taxi", None, week).window is None
    log(url, 2, now - DAY)
    for source in (Database(url), remote):
        reached, alone = (source.pending("taxi", None, reach).window for reach in (week, timedelta(0)))
        assert reached is not None
        assert alone is not None
        assert (reached.rows, alone.rows) == ({3: 2}, {3: 1})
        assert reached.until - reached.since == week
        assert alone.since == now - 2 * DAY


def test_a_check_is_noted_once(url: str, remote: Remote) -> None:
    number = remote.record(a_check())
    assert remote.record(a_check()) == number
    with pytest.raises(DatabaseError, match=r"until 2026-11-26T12.* is on record already.*\(409\)"):
        remote.record(a_check(zenml_run="another run"))
    (listed,) = remote.listed("taxi")
    assert listed == checks.newest(url, "taxi")
    assert listed.found["said"] == "naïve 東京"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"verdict": "fine"}, "verdict: Input should be"),
        ({"model_version": 0}, "model_version: .*greater than or equal to 1"),
        ({"use_case": "a\x00b"}, "use_case: "),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
)
def test_what_is_no_check_is_refused_in_words(remote: Remote, change: dict[str, Any], told: str) -> None:
    with pytest.raises(DatabaseError, match=rf"refused: This cannot be noted or asked for: {told}"):
        remote.record(a_check(**change))


def test_a_moment_that_is_not_yet_and_a_use_case_that_is_not_there_are_refused(
    url: str, remote: Remote
) -> None:
    with pytest.raises(DatabaseError, match=r"A check can begin before .*\(422\)"):
        remote.pending("taxi", datetime.now(UTC) + DAY)
    window = windows.Window(use_case="taxy", since=NOON, until=NOON + DAY, rows={3: 1}, outcomes={})
    with pytest.raises(DatabaseError, match=r"There is no use case 'taxy'.*\(422\)"):
        list(remote.draw(window, 3, known=False))


def test_nobody_reads_or_notes_without_the_login(remote: Remote) -> None:
    for path, method in (("", "GET"), ("", "POST"), ("/pending", "GET"), ("/rows", "POST")):
        answer = httpx.request(method, f"{remote.url}{logs.PATH}{path}", trust_env=False)
        assert answer.status_code == 401
    with pytest.raises(DatabaseError, match="the login is wrong"):
        Remote(remote.url, "default", "another").listed("taxi")
    assert httpx.get(f"{remote.url}/modelyard/others", trust_env=False).text == "hello"


def test_a_log_that_breaks_off_is_an_error_and_not_fewer_rows(url: str, remote: Remote) -> None:
    log_many(url, 20_000)
    window = windows.survey(url, "taxi", NOON, NOON + DAY)
    assert window is not None
    drawn = remote.draw(window, 3, known=False)
    next(drawn)
    rows(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    with pytest.raises(DatabaseError, match="does not answer"):
        list(drawn)


def test_it_is_asked_where_mlflow_is_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(("URI", "USERNAME", "PASSWORD"), ("https://mlflow/", *LOGIN), strict=True):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    assert logs.here() == Remote("https://mlflow/", *LOGIN)
