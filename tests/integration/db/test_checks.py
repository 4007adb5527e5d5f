"""Checks are noted once each, and the next one begins where the last one ended."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db import checks, migrate
from errors import DatabaseError

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture
def url(database: str) -> str:
    migrate.upgrade(database)
    return database


def note(url: str, hour: int, verdict: str = "good", use_case: str = "taxi", **more: Any) -> int:
    """A check of the hour that ends so many hours after noon."""
    until = NOON + timedelta(hours=hour)
    return checks.record(
        url,
        use_case=use_case,
        model_version=3,
        since=until - timedelta(hours=1),
        until=until,
        verdict=verdict,
        found={"rows": 7},
        **more,
    )


def test_a_check_is_read_as_it_was_noted(url: str) -> None:
    number = note(url, 1, "retrain", zenml_run="monitor_taxi-1")
    found = checks.newest(url, "taxi")
    assert found is not None
    assert (found.id, found.model_version, found.verdict) == (number, 3, "retrain")
    assert (found.since, found.until) == (NOON, NOON + timedelta(hours=1))
    assert (found.found, found.zenml_run) == ({"rows": 7}, "monitor_taxi-1")


def test_the_newest_is_the_one_whose_time_ended_last_whenever_it_was_made(url: str) -> None:
    for hour in (2, 3, 1):
        note(url, hour)
    note(url, 9, use_case="titanic")
    assert [one.until.hour for one in checks.listed(url, "taxi")] == [15, 14, 13]
    assert [(one.use_case, one.until.hour) for one in checks.of_each(url)] == [("taxi", 15), ("titanic", 21)]
    assert checks.newest(url, "other") is None


def test_the_next_check_begins_where_the_last_one_ended_that_told_anything(url: str) -> None:
    assert checks.watermark(url, "taxi") is None
    note(url, 1, "too few rows")
    assert checks.watermark(url, "taxi") is None
    note(url, 2, "watch")
    note(url, 3, "too few rows")
    assert checks.watermark(url, "taxi") == NOON + timedelta(hours=2)


def test_a_run_whose_step_is_done_again_notes_its_check_once(url: str) -> None:
    number = note(url, 1, zenml_run="monitor_taxi-1")
    assert note(url, 1, zenml_run="monitor_taxi-1") == number
    with pytest.raises(DatabaseError, match="on record already"):
        note(url, 1, zenml_run="monitor_taxi-2")
    assert len(checks.listed(url, "taxi")) == 1


def test_of_many_checks_of_one_time_one_is_noted_and_the_others_are_told(url: str) -> None:
    def attempt(_: int) -> str:
        try:
            note(url, 1)
        except DatabaseError as error:
            return str(error)
        return "noted"

    with ThreadPoolExecutor(4) as pool:
        came = list(pool.map(attempt, range(4)))
    assert came.count("noted") == 1
    told = next(text for text in came if text != "noted")
    assert "until 2026-11-26T13:00:00+00:00 is on record already" in told
    assert len(checks.listed(url, "taxi")) == 1
