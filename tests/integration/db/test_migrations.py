"""The project's own tables: what the migrations make is what the models say, and it refuses bad rows."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, inspect, select, text
from sqlalchemy.exc import IntegrityError

from db import migrate, releases
from db.models import STATUSES, Base, Release
from db.session import connect, engine

PROJECT = Path(__file__).parents[3]
GOOD = {
    "use_case": "taxi",
    "model_version": 1,
    "bento": "taxi:1",
    "target": "local",
    "status": "serving",
    "released_by": "someone@somewhere",
}


@pytest.fixture
def migrated(database: str) -> str:
    migrate.upgrade(database)
    return database


def test_an_empty_database_gets_every_table_and_the_second_time_nothing(database: str) -> None:
    migrate.upgrade(database)
    tables = _tables(database)
    migrate.upgrade(database)

    assert tables == {*Base.metadata.tables, "alembic_version"}
    assert _tables(database) == tables


def test_processes_that_migrate_at_once_all_succeed(database: str) -> None:
    code = "import sys; from db import migrate; sys.stdin.read(1); migrate.upgrade(sys.argv[1])"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, database],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(PROJECT)},
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go")
        process.stdin.flush()
    errors = [process.communicate(timeout=60)[1] for process in processes]

    assert [process.returncode for process in processes] == [0] * 4, errors
    assert "releases" in _tables(database)


def test_the_migrated_database_is_what_the_models_say(migrated: str) -> None:
    with connect(migrated) as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_checks_have_the_names_that_the_models_have_for_them(migrated: str) -> None:
    with connect(migrated) as connection:
        there = {check["name"] for check in inspect(connection).get_check_constraints("releases")}
    assert there == {"ck_releases_status", "ck_releases_model_version", "ck_releases_reason"}


def test_releases_of_before_there_were_canaries_stay_as_they_are(database: str) -> None:
    _to(database, command.upgrade, "0001")
    serving, failed = (GOOD | {"pid": 7, "pid_started": 1.5}, GOOD | {"status": "failed", "reason": "a gap"})
    for row in (failed, serving):
        columns = ", ".join(row)
        values = ", ".join(f":{column}" for column in row)
        with connect(database) as connection:
            connection.execute(text(f"INSERT INTO releases ({columns}) VALUES ({values})"), row)

    migrate.upgrade(database)
    newest, oldest = releases.history(database)
    assert (newest.id, newest.status, newest.pid, newest.pid_started) == (2, "serving", 7, 1.5)
    assert (oldest.id, oldest.status, oldest.reason) == (1, "failed", "a gap")
    assert [(row.image, row.why) for row in (newest, oldest)] == [(None, None)] * 2


def test_back_to_before_there_were_canaries_nothing_is_lost_but_their_name(migrated: str) -> None:
    _insert(migrated)
    _insert(migrated, status="canary", model_version=2)
    _to(migrated, command.downgrade, "0001")
    with connect(migrated) as connection:
        rows = connection.execute(text("SELECT model_version, status FROM releases ORDER BY id")).all()
    assert rows == [(1, "serving"), (2, "stopped")]


def test_the_newest_revision_is_the_one_that_alembic_takes_for_it() -> None:
    assert ScriptDirectory(str(migrate.MIGRATIONS)).get_heads() == [migrate.newest()]


def test_down_to_nothing_and_up_again(migrated: str) -> None:
    _to(migrated, command.downgrade, "base")
    assert _tables(migrated) == {"alembic_version"}

    migrate.upgrade(migrated)
    assert "releases" in _tables(migrated)


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_may_be_recorded(migrated: str, status: str) -> None:
    _insert(migrated, status=status, reason="because")

    with connect(migrated) as connection:
        row = connection.execute(select(Release.status, Release.created_at)).one()
    assert row.status == status
    assert row.created_at.tzinfo is not None


@pytest.mark.parametrize(
    ("bad", "constraint"),
    [
        ({"status": "unheard-of"}, "ck_releases_status"),
        ({"model_version": 0}, "ck_releases_model_version"),
        ({"status": "failed", "reason": None}, "ck_releases_reason"),
        ({"use_case": None}, "use_case"),
    ],
)
def test_a_bad_row_is_refused_by_name(migrated: str, bad: dict[str, Any], constraint: str) -> None:
    with pytest.raises(IntegrityError, match=constraint):
        _insert(migrated, **bad)


def test_one_release_serves_for_each_use_case_and_target(migrated: str) -> None:
    _insert(migrated)
    _insert(migrated, status="superseded")
    _insert(migrated, use_case="titanic")
    _insert(migrated, target="elsewhere")

    with pytest.raises(IntegrityError, match="uq_releases_serving"):
        _insert(migrated, model_version=2)


def test_one_canary_takes_a_share_for_each_use_case_and_target_beside_the_one_that_serves(
    migrated: str,
) -> None:
    _insert(migrated)
    _insert(migrated, status="canary")
    _insert(migrated, status="withdrawn")
    _insert(migrated, status="canary", use_case="titanic")
    _insert(migrated, status="canary", target="elsewhere")

    with pytest.raises(IntegrityError, match="uq_releases_canary"):
        _insert(migrated, status="canary", model_version=2)


def _to(url: str, move: Callable[[Config, str], None], revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.MIGRATIONS))
    with engine(url).begin() as connection:
        config.attributes["connection"] = connection
        move(config, revision)


def _insert(url: str, **values: Any) -> None:
    with connect(url) as connection:
        connection.execute(insert(Release).values(**GOOD | values))


def _tables(url: str) -> set[str]:
    with connect(url) as connection:
        return set(inspect(connection).get_table_names())
