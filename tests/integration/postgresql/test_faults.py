"""PostgreSQL crashes, a ZenML server is killed: a run goes on or fails, and nothing half-written is left."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest

from tests.integration.postgresql.servers import Server, database, free_port, rows

STATES = """
    SELECT r.name, r.status, array_agg(s.name || ' ' || s.status ORDER BY s.name)
    FROM pipeline_run r JOIN step_run s ON s.pipeline_run_id = r.id GROUP BY r.id, r.name, r.status
"""
# Of the first step's output: their numbers, and whether they belong to a step.
VERSIONS = """
    SELECT v.version_number, o.step_id IS NOT NULL FROM artifact_version v
    JOIN artifact a ON a.id = v.artifact_id LEFT JOIN step_run_output_artifact o ON o.artifact_id = v.id
    WHERE a.name ~ '::train::' ORDER BY 1
"""
WENT_ON = ("completed", ["judge completed", "train completed"])
FAILED = ("failed", ["train failed"])


@pytest.fixture(scope="module")
def crashed(server: Server, module_database: str, start: Any) -> tuple[str, str]:
    """A process in whose runs PostgreSQL crashed, each time at another moment, and a new one after it.

    The database, and what the processes printed.
    """
    names = ("ended while it was down", "in a statement", "in a commit", "next")
    script = start("training", module_database, *names)
    script.ready()
    server.stop("immediate")
    script.go()
    _await_connection(server)
    server.start()

    output = script.ready()
    with closing(psycopg2.connect(module_database)) as blocking, blocking.cursor() as cursor:
        cursor.execute("LOCK TABLE step_run IN ACCESS EXCLUSIVE MODE")
        script.go()
        _until(lambda: _waiting(server, "wait_event_type = 'Lock'"))
        server.restart()

    output += script.ready()
    # A commit then waits for a standby that never comes: it is on disk, and the client isn't told.
    rows(server.url(), "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    rows(server.url(), "SELECT pg_reload_conf()")
    _until(lambda: rows(server.url(), "SHOW synchronous_standby_names") == [("nobody",)])
    script.go()
    _until(lambda: _waiting(server, "wait_event = 'SyncRep'"))
    server.stop("immediate")
    server.forget("synchronous_standby_names")
    server.start()

    output += script.ready()
    script.go()
    output += script.ended()
    after = start("training", module_database, "in a new process")
    after.ready()
    after.go()
    return module_database, output + after.ended()


def test_a_run_waits_for_postgresql_to_come_back(crashed: tuple[str, str]) -> None:
    assert _states(crashed[0])["ended while it was down"] == WENT_ON


@pytest.mark.parametrize("name", ["in a statement", "in a commit"])
def test_a_run_whose_write_broke_off_is_failed_and_says_why(crashed: tuple[str, str], name: str) -> None:
    database, output = crashed
    assert _states(database)[name] == FAILED
    assert f"{name}: RuntimeError: Pipeline run has failed due to failure in step(s): train" in output
    assert "server closed the connection unexpectedly" in output


@pytest.mark.parametrize("name", ["next", "in a new process"])
def test_the_next_run_works_in_the_same_process_and_in_a_new_one(crashed: tuple[str, str], name: str) -> None:
    assert _states(crashed[0])[name] == WENT_ON


def test_what_may_have_been_committed_is_not_written_twice(crashed: tuple[str, str]) -> None:
    """The model of each run has one version; those of the runs that broke off belong to no step."""
    assert rows(crashed[0], VERSIONS) == [(1, True), (2, False), (3, False), (4, True), (5, True)]
    indexes = rows(crashed[0], 'SELECT "index" FROM pipeline_run ORDER BY 1')
    assert indexes == [(index,) for index in range(1, 6)]


@pytest.fixture(scope="module")
def orphaned(server: Server, start: Any) -> Iterator[tuple[str, str]]:
    """A client in whose runs its ZenML server was killed, each time at another moment, and started again."""
    with database(server.url()) as url:
        port = str(free_port())

        def serve() -> Any:
            script = start("serving", url, port)
            script.ready()
            return script

        serving = serve()
        client = start("training", f"http://127.0.0.1:{port}", "between requests", "in a request", "next")
        client.ready()
        _kill(serving)
        client.go()
        serving = serve()

        output = client.ready()
        with closing(psycopg2.connect(url)) as blocking, blocking.cursor() as cursor:
            cursor.execute("LOCK TABLE run_metadata IN ACCESS EXCLUSIVE MODE")
            client.go()
            _until(lambda: _waiting(server, "wait_event_type = 'Lock'"))
            _kill(serving)
        # ZenML marks a request before it does its work, and refuses to repeat one that was cut off, since it
        # may have been done: after eight minutes the run fails. It goes on when the mark is removed before.
        assert rows(url, "DELETE FROM api_transaction WHERE NOT completed RETURNING method") == [("POST",)]
        serve()

        output += client.ready()
        client.go()
        yield url, output + client.ended()


@pytest.mark.parametrize("name", ["between requests", "in a request", "next"])
def test_a_run_goes_on_when_its_server_is_killed_and_started_again(
    orphaned: tuple[str, str], name: str
) -> None:
    database, output = orphaned
    assert f"{name}: completed" in output
    assert _states(database)[name] == WENT_ON


def test_what_a_killed_server_had_committed_belongs_to_no_step(orphaned: tuple[str, str]) -> None:
    assert rows(orphaned[0], VERSIONS) == [(1, True), (2, False), (3, True), (4, True)]


def _kill(script: Any) -> None:
    script.process.kill()
    script.process.wait()


def _states(database: str) -> dict[str, tuple[str, list[str]]]:
    return {name: (status, steps) for name, status, steps in rows(database, STATES)}


def _waiting(server: Server, condition: str) -> bool:
    return bool(rows(server.url(), f"SELECT 1 FROM pg_stat_activity WHERE {condition}"))


def _await_connection(server: Server) -> None:
    """Stand in for a server that is down until somebody has tried to connect to it."""
    with socket.create_server(("127.0.0.1", server.port)) as door:
        door.settimeout(60)
        connection, _ = door.accept()
        connection.close()


def _until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
