"""What endpoints have logged is read and given up by age."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest

from db import dump, migrate, predictions
from db.session import connect
from tests.integration.postgresql import servers
from tests.integration.postgresql.servers import rows

TODAY = datetime.now(UTC).date()


@pytest.fixture
def url(database: str) -> str:
    migrate.upgrade(database)
    return database


def test_predictions_are_counted_by_day_and_use_case(url: str) -> None:
    for day, use_case in ((1, "taxi"), (1, "taxi"), (0, "taxi"), (0, "titanic")):
        _insert(url, use_case, _noon(day))
    counted = predictions.count_by_day(url, "taxi")
    assert list(counted.items()) == [(TODAY - timedelta(days=1), 2), (TODAY, 1)]


def test_the_newest_come_first_with_what_came_true_of_them(url: str) -> None:
    for day, name in ((2, "old"), (1, "known"), (0, "open")):
        _insert(url, "taxi", _noon(day), name)
    _insert(url, "titanic", _noon(0), "another's")
    # An outcome may be there before its prediction is.
    for use_case, name, row in (("taxi", "known", 0), ("taxi", "known", 1), ("titanic", "open", 0)):
        rows(url, "INSERT INTO outcomes VALUES (%s, %s, %s, 12.5, now())", use_case, name, row)
    found = predictions.latest(url, "taxi", 2)
    assert [(row["request_id"], row["value"]) for row in found] == [("open", None), ("known", 12.5)]
    assert found[0]["inputs"] == {"zone": 74}


def test_analysts_see_each_prediction_once_with_its_outcome_and_its_release(url: str) -> None:
    released = """
    INSERT INTO releases (use_case, model_version, bento, target, status, released_by, zenml_run, created_at,
                          verified_at, reason, ended_at)
    VALUES ('taxi', %s, %s, 'local', %s, 'me', %s, %s, %s, 'over', now())
    """
    for version, bento, status, day in (
        (7, "a", "superseded", 9),
        (8, "b", "superseded", 6),
        (8, "broken", "failed", 5),
        (7, "c", "superseded", 3),
    ):
        verified = None if status == "failed" else _noon(day)
        rows(url, released, version, f"taxi:{bento}", status, f"run {bento}", _noon(day), verified)
    for day, name in ((10, "before all"), (8, "first"), (1, "again")):
        _insert(url, "taxi", _noon(day), name)
    _insert(url, "titanic", _noon(1), "another's")
    rows(url, "INSERT INTO outcomes VALUES ('taxi', 'first', 0, 12.5, now())")
    found = rows(
        url,
        "SELECT request_id, release, bento, release_run, outcome FROM prediction_outcomes "
        "WHERE use_case = 'taxi' ORDER BY at",
    )
    assert found == [
        ("before all", None, None, None, None),
        ("first", 1, "taxi:a", "run a", 12.5),
        ("again", 4, "taxi:c", "run c", None),
    ]
    assert rows(url, "SELECT count(*) FROM prediction_outcomes") == [(4,)]


def test_the_number_of_an_answer_stands_by_itself_when_there_is_one(url: str) -> None:
    answers = {
        '{"duration_minutes": 12.25}': 12.25,
        '{"survived": true, "probability": 0.75}': 0.75,
        '{"low": 1, "high": 2}': None,
        '{"colour": "red"}': None,
    }
    for answer in answers:
        _insert(url, "taxi", _noon(0), answer)
        rows(url, "UPDATE predictions SET output = %s WHERE request_id = %s", answer, answer)
    found = rows(url, "SELECT request_id, prediction FROM prediction_outcomes")
    assert dict(found) == answers


def test_a_question_about_one_day_reads_the_partition_of_that_day_alone(url: str) -> None:
    for day in range(5):
        _insert(url, "taxi", _noon(day))
    day = TODAY - timedelta(days=2)
    plan = "\n".join(
        line
        for (line,) in rows(
            url,
            "EXPLAIN SELECT avg(abs(outcome - prediction)), bento FROM prediction_outcomes "
            f"WHERE use_case = 'taxi' AND at >= '{day}T00:00Z' AND at < '{day + timedelta(days=1)}T00:00Z' "
            "GROUP BY bento",
        )
    )
    assert set(re.findall(r"predictions_\d{8}", plan)) == {f"predictions_{day:%Y%m%d}"}
    # Nor those of a time that is known only when the question is asked.
    plan = str(
        rows(url, "EXPLAIN ANALYZE SELECT * FROM prediction_outcomes WHERE at >= now() - interval '12 hours'")
    )
    assert f"predictions_{TODAY - timedelta(days=2):%Y%m%d}" not in plan


def test_old_days_go_with_their_outcomes(url: str) -> None:
    for day in (0, 7, 8, 9):
        _insert(url, "taxi", _noon(day), f"{day} days ago")
        rows(url, "INSERT INTO outcomes VALUES ('taxi', %s, 0, 1, %s)", f"{day} days ago", _noon(day))
    expected = [(TODAY - timedelta(days=days)).isoformat() for days in (9, 8)]

    assert predictions.drop_older(url, 7, dry_run=True) == expected
    assert len(predictions.latest(url, "taxi", 10)) == 4
    assert predictions.drop_older(url, 7) == expected
    assert predictions.drop_older(url, 7) == []
    left = ["0 days ago", "7 days ago"]
    assert [row["request_id"] for row in predictions.latest(url, "taxi", 10)] == left
    assert [name for (name,) in rows(url, "SELECT request_id FROM outcomes ORDER BY 1")] == left


def test_a_day_that_was_dropped_can_come_again(url: str) -> None:
    _insert(url, "taxi", _noon(30))
    predictions.drop_older(url, 7)
    _insert(url, "taxi", _noon(30))
    assert predictions.count_by_day(url, "taxi") == {TODAY - timedelta(days=30): 1}


def test_a_partition_is_made_once_by_many_at_once_with_the_indexes_of_all(url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: rows(url, "SELECT prediction_partition('2026-01-31')"), range(16)))
    assert rows(url, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'predictions'::regclass") == [(1,)]
    indexes = rows(url, "SELECT count(*) FROM pg_indexes WHERE tablename = 'predictions_20260131'")
    assert indexes == [(2,)]


def test_a_new_partition_waits_for_no_reader(url: str) -> None:
    _insert(url, "taxi", _noon(1))
    with closing(psycopg2.connect(url)) as reading, reading.cursor() as cursor:
        cursor.execute("SELECT * FROM predictions")
        rows(url, "SET lock_timeout = '2s'; SELECT prediction_partition(current_date)")


def test_a_backup_has_each_row_once_and_what_is_restored_logs_on(url: str, tmp_path: Path) -> None:
    for day in (0, 1):
        _insert(url, "taxi", _noon(day))
    with dump.frozen(url) as (connection, snapshot):
        counted = dump.count(connection)
        dump.dump(url, snapshot, tmp_path / "dump")
    assert {table: count for table, count in counted.items() if "prediction" in table} == {"predictions": 2}
    with servers.database(url) as restored:
        dump.restore(restored, tmp_path / "dump")
        with connect(restored) as connection:
            assert dump.count(connection) == counted
        _insert(restored, "taxi", _noon(2))
        assert list(predictions.count_by_day(restored, "taxi").values()) == [1, 1, 1]


def _noon(days: int) -> datetime:
    """Noon of the day so many days ago."""
    day = TODAY - timedelta(days=days)
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def _insert(url: str, use_case: str, at: datetime, name: str = "5f0c") -> None:
    rows(url, "SELECT prediction_partition(%s)", date(at.year, at.month, at.day))
    rows(
        url,
        "INSERT INTO predictions VALUES (%s, %s, 0, %s, 7, NULL, '{\"zone\": 74}', '{}', 0.1)",
        *(at, name, use_case),
    )
