"""Where PostgreSQL cannot be reached, decisions are read and noted through the platform's server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from db import checks, migrate, releases
from errors import DatabaseError
from monitoring.ledger import PATH, Database, Remote
from tests.integration.monitoring.records_server import LOGIN, served

MORE = "naïve 東京"


@pytest.fixture
def url(database: str) -> str:
    migrate.upgrade(database)
    return database


@pytest.fixture
def remote(url: str) -> Iterator[Remote]:
    with served(url) as address:
        yield Remote(address, *LOGIN)


def about(attempt: str = "a", **changes: Any) -> dict[str, Any]:
    return {
        "use_case": "taxi",
        "reasons": ["2 files are new"],
        "evidence": {"attempt": attempt, "said": MORE, "score": 0.1 + 0.2},
        "decided_by": "a schedule",
        **changes,
    }


def test_a_decision_is_the_same_on_both_ways_from_its_beginning_to_its_end(url: str, remote: Remote) -> None:
    number = remote.note("retrain", about(), run="round-1")
    (begun,) = remote.decisions("taxi")
    assert [begun] == Database(url).decisions("taxi")
    assert (begun.id, begun.status, begun.result) == (number, "begun", {"run": "round-1"})
    assert begun.evidence == about()["evidence"]
    assert remote.retrainings("taxi", "a") == []

    result = {"run": "round-1", "training": {"version": 2, "score": 0.1 + 0.2}}
    remote.end(number, "done", result)
    (ended,) = remote.decisions("taxi")
    assert [ended] == remote.retrainings("taxi", "a") == Database(url).decisions("taxi")
    assert (ended.status, ended.result) == ("done", result)
    assert remote.retrainings("taxi", "b") == []


def test_what_came_of_it_is_noted_twice_by_a_step_that_is_done_again_and_by_nobody_else(
    remote: Remote,
) -> None:
    number = remote.note("retrain", about(), run="round-1")
    for _ in range(2):
        remote.end(number, "done", {"run": "round-1"})
    with pytest.raises(DatabaseError, match=rf"Decision {number} has ended already.*\(409\)"):
        remote.end(number, "failed", {"run": "round-1", "error": "disk full"})
    assert remote.decisions("taxi")[0].status == "done"


def test_one_is_under_way_for_a_use_case_and_a_second_is_refused(url: str, remote: Remote) -> None:
    remote.note("retrain", about(), run="round-1")
    with pytest.raises(DatabaseError, match=r"Another decision about taxi is under way.*\(409\)"):
        remote.note("release", about(), run="round-2")
    remote.note("retrain", about(use_case="titanic"), run="round-2")
    assert len(remote.decisions("taxi")) == 1


def test_nothing_to_do_for_the_same_reasons_is_one_decision(remote: Remote) -> None:
    numbers = [remote.note("nothing", about(reasons=[reason])) for reason in "aab"]
    assert numbers[0] == numbers[1] != numbers[2]
    assert [each.id for each in remote.decisions("taxi", limit=1)] == [numbers[2]]


def test_what_is_decided_upon_is_the_same_on_both_ways(url: str, remote: Remote) -> None:
    for target in ("kubernetes", "local"):
        number = releases.begin(
            url, use_case="taxi", model_version=1, bento="b", target=target, released_by="ann@host", why=MORE
        )
        releases.serve(url, number, "http://taxi")
    until = datetime.now(UTC)
    checks.record(
        url, use_case="taxi", model_version=1, since=until - timedelta(days=1), until=until,
        verdict="retrain", found={"said": MORE},
    )  # fmt: skip
    here = Database(url)
    assert remote.releases("taxi", "kubernetes") == here.releases("taxi", "kubernetes")
    assert [each.target for each in remote.releases("taxi", "kubernetes")] == ["kubernetes"]
    assert remote.checks("taxi") == here.checks("taxi")
    assert len(remote.checks("taxi")) == 1


@pytest.mark.parametrize(
    ("decision", "change", "told"),
    [
        ("dance", {}, "decision: Input should be"),
        ("retrain", {"reasons": []}, "reasons: List should have at least 1 item"),
        ("retrain", {"use_case": "a\x00b"}, "use_case: "),
        ("retrain", {"colour": "red"}, "colour: Extra inputs are not permitted"),
    ],
)
def test_what_is_no_decision_is_refused_in_words(
    remote: Remote, decision: str, change: dict[str, Any], told: str
) -> None:
    with pytest.raises(DatabaseError, match=rf"refused: This cannot be noted or asked for: {told}"):
        remote.note(decision, about(**change))
    assert remote.decisions("taxi") == []


def test_nobody_reads_or_notes_without_the_login(remote: Remote) -> None:
    for path, method in (("", "GET"), ("", "POST"), ("/1/end", "POST")):
        answer = httpx.request(method, f"{remote.url}{PATH}{path}", trust_env=False)
        assert answer.status_code == 401
    with pytest.raises(DatabaseError, match="the login is wrong"):
        Remote(remote.url, "default", "another").decisions("taxi")
