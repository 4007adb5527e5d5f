"""Processes that start on one database at once, work on it at once, or die on the way."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.integration.postgresql.servers import rows

WORKERS = 8
# Of ten operations each (working.py): 200 operations of each process. `TURNS=200 pytest …` for more.
TURNS = int(os.environ.get("TURNS", "20"))


def test_three_processes_start_on_an_empty_database_at_once(database: str, start: Any) -> None:
    scripts = [start("opening", database) for _ in range(3)]
    for script in scripts:
        script.ready()
    for script in scripts:
        script.go()
    assert [script.ended() for script in scripts] == ["default\n"] * 3
    assert rows(database, "SELECT count(*) FROM alembic_version") == [(1,)]
    assert rows(database, "SELECT count(*) FROM stack") == [(1,)]


def test_a_process_that_was_killed_while_it_made_the_tables_stops_nobody(database: str, start: Any) -> None:
    killed = start("opening", database, "die")
    killed.ready()
    killed.go()
    assert killed.process.wait(timeout=60) < 0
    assert rows(database, "SELECT count(*) FROM information_schema.tables WHERE table_name = 'pipeline_run'")
    assert rows(database, "SELECT * FROM alembic_version") == []

    after = start("opening", database)
    after.ready()
    after.go()
    assert after.ended() == "default\n"


def test_tables_that_somebody_else_filled_are_never_dropped(database: str, start: Any) -> None:
    killed = start("opening", database, "die")
    killed.ready()
    killed.go()
    killed.process.wait(timeout=60)
    insert = (
        "INSERT INTO tag (id, created, updated, name, color, exclusive) VALUES (%s, now(), now(), %s, %s, %s)"
    )
    rows(database, f"{insert} RETURNING id", "0" * 32, "kept", "red", False)

    refused = start("opening", database)
    refused.ready()
    refused.go()
    refused.process.communicate(timeout=60)
    assert refused.process.returncode != 0
    assert "never been migrated" in refused.log.read_text()
    assert rows(database, "SELECT name FROM tag") == [("kept",)]


@pytest.fixture(scope="module")
def worked(module_database: str, start: Any) -> str:
    """A database on which eight processes have worked at once."""
    start("working", module_database).ended()
    together = start("working", module_database, "together", str(WORKERS), str(TURNS))
    together.ready()
    together.go()
    together.ended()
    return module_database


def test_eight_processes_at_once_lose_and_double_nothing(worked: str) -> None:
    mine = "FROM pipeline_run WHERE name ~ '^together'"
    names = {f"together {number} {turn}" for number in range(WORKERS) for turn in range(TURNS)}
    assert dict(rows(worked, f"SELECT name, status {mine}")) == dict.fromkeys(names, "failed")
    # ZenML counts the runs of a pipeline.
    indexes = [index for (index,) in rows(worked, f'SELECT "index" {mine} ORDER BY 1')]
    assert indexes == list(range(indexes[0], indexes[0] + WORKERS * TURNS))


def test_versions_of_an_artifact_that_all_write_have_no_gaps(worked: str) -> None:
    query = (
        "SELECT v.version_number FROM artifact_version v JOIN artifact a ON a.id = v.artifact_id "
        "WHERE a.name = %s ORDER BY 1"
    )
    for name in ("artifact 0", "artifact 1"):
        versions = [number for (number,) in rows(worked, query, name)]
        assert versions == list(range(1, WORKERS * TURNS // 2 + 1))


def test_every_foreign_key_has_an_index(worked: str) -> None:
    """MySQL sees to that by itself; without, deleting a run reads whole tables."""
    bare = """
        SELECT c.conrelid::regclass, c.conname FROM pg_constraint c
        WHERE c.contype = 'f' AND NOT EXISTS
          (SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1])
    """
    assert rows(worked, bare) == []
    assert rows(worked, "SELECT count(*) FROM pg_constraint WHERE contype = 'f'")[0][0] > 100


def test_the_newest_of_a_large_project_are_read_from_an_index(worked: str) -> None:
    """Else a list of a few steps reads and sorts all that there are."""
    for table in ("pipeline_run", "step_run", "artifact_version"):
        query = f"SELECT * FROM {table} WHERE project_id = 'p' ORDER BY created DESC, id DESC LIMIT 20"
        # Small tables are read whole unless that is forbidden; a sort is not.
        plan = rows(worked, f"SET enable_seqscan = off; EXPLAIN {query}")
        assert "Sort" not in str(plan), plan


def test_tables_of_an_earlier_package_get_the_indexes_that_it_did_not_make(worked: str, start: Any) -> None:
    for index in ("newest_step_run", "pipeline_run_stack_id_idx"):
        rows(worked, f"DROP INDEX {index}")
    rows(worked, "COMMENT ON TABLE alembic_version IS 'ZenML 0.98.0, foreign keys indexed'")
    start("upgrading", worked, "open").ended()
    names = (
        "SELECT count(*) FROM pg_indexes WHERE indexname IN ('newest_step_run', 'pipeline_run_stack_id_idx')"
    )
    assert rows(worked, names) == [(2,)]
