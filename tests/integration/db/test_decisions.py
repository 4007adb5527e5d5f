"""Decisions are on record before anything is done, and one process at a time decides."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from sqlalchemy import text

from db import decisions, migrate
from db.decisions import GONE
from db.session import connect
from errors import Busy, DatabaseError
from settings import PROJECT

BEGIN = """
import sys
from db import decisions
with decisions.alone(sys.argv[1], "taxi"):
    decisions.begin(sys.argv[1], use_case="taxi", decision="retrain", reasons=["new data"],
                    evidence={"attempt": "a"}, decided_by="another")
    print("begun", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def url(database: str) -> str:
    migrate.upgrade(database)
    return database


def begin(url: str, **changes: Any) -> int:
    about: dict[str, Any] = {
        "use_case": "taxi",
        "decision": "retrain",
        "reasons": ["2 files are new"],
        "evidence": {"attempt": "a"},
        "decided_by": "ann@host",
    }
    return decisions.begin(url, **about | changes)


def nothing(url: str, *reasons: str) -> int:
    return decisions.note_nothing(url, use_case="taxi", reasons=reasons, evidence={}, decided_by="ann@host")


def test_a_decision_is_on_record_from_its_beginning_to_its_end(url: str) -> None:
    number = begin(url)
    (begun,) = decisions.history(url, "taxi")
    assert (begun.id, begun.status, begun.result, begun.ended_at) == (number, "begun", None, None)
    assert (begun.reasons, begun.evidence) == (["2 files are new"], {"attempt": "a"})

    decisions.end(url, number, "done", {"training": {"version": 2}})
    (ended,) = decisions.history(url, "taxi")
    assert (ended.status, ended.result) == ("done", {"training": {"version": 2}})
    assert ended.ended_at is not None
    assert ended.ended_at >= ended.at


def test_the_newest_come_first_and_each_use_case_has_its_own(url: str) -> None:
    numbers = [nothing(url, reason) for reason in "abc"]
    begin(url, use_case="titanic")
    assert [each.id for each in decisions.history(url, "taxi", limit=2)] == numbers[:0:-1]


def test_to_find_nothing_to_do_again_for_the_same_reasons_is_one_decision(url: str) -> None:
    assert nothing(url, "all is well") == nothing(url, "all is well")
    assert nothing(url, "3 files") != nothing(url, "all is well")
    assert len(decisions.history(url, "taxi")) == 3


def test_two_cannot_be_under_way_even_without_the_lock(url: str) -> None:
    begin(url)
    with pytest.raises(Busy, match="Another decision about taxi is under way"):
        begin(url)


def test_one_decides_the_other_is_told_and_who_was_killed_is_given_up_by_the_next(url: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BEGIN, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "begun\n"
        with pytest.raises(Busy, match="Another process is at it: train taxi"), decisions.alone(url, "taxi"):
            pytest.fail("two decided at once")
        with decisions.alone(url, "titanic"):
            assert [each.status for each in decisions.history(url, "taxi")] == ["begun"]
        other.kill()
        other.wait()
    _wait_until_free(url)

    with decisions.alone(url, "taxi"):
        (given_up,) = decisions.history(url, "taxi")
        assert (given_up.status, given_up.result) == ("abandoned", {"error": GONE})
        begin(url)


def test_who_lost_the_lock_is_told_when_another_took_over(url: str) -> None:
    with decisions.alone(url, "taxi"):
        number = begin(url)
        with connect(url) as connection:
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
            )
        _wait_until_free(url)
        with decisions.alone(url, "taxi"):
            pass
        with pytest.raises(DatabaseError, match=f"Decision {number} has ended already"):
            decisions.end(url, number, "done", {})


def test_retrainings_of_the_same_are_found_and_no_other_ones(url: str) -> None:
    same = begin(url)
    decisions.end(url, same, "failed", {"error": "disk full"})
    for changes in ({"evidence": {"attempt": "b"}}, {"decision": "release"}, {"use_case": "titanic"}):
        decisions.end(url, begin(url, **changes), "done", {})
    again = begin(url)
    assert [each.id for each in decisions.retrainings(url, "taxi", "a")] == [same]
    decisions.end(url, again, "done", {})
    assert [each.id for each in decisions.retrainings(url, "taxi", "a")] == [again, same]


def _wait_until_free(url: str) -> None:
    """The server notices the end of a connection by itself."""
    from db.session import advisory_lock

    with advisory_lock(url, "train taxi", wait=True):
        pass
