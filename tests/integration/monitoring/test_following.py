"""A version shadows the one that serves: it sees what an endpoint was asked, and nobody sees it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import usecases
from console import following
from console.replay import report
from db import embedded
from settings import PROJECT
from tests.integration.command_line import CommandLine, Done, read

EXAMPLE = dict(usecases.load("titanic").example)


class Follower:
    """`replay --follow` of version 2, each second; its lines are read as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []

    def next(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"it ended by itself: {self.lines[-1:]}"
        self.lines.append(json.loads(line))
        return self.lines[-1]

    def until(self, requests: int, outcomes: int = 0) -> dict[str, Any]:
        """The first round by which so many were seen."""
        expected = {"requests": requests, "outcomes": outcomes}
        while (said := self.next()).get("followed") != expected:
            if "followed" in said:
                assert all(said["followed"][key] <= expected[key] for key in expected), said
        return said

    def ended(self) -> dict[str, Any]:
        """What it says in the end."""
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGTERM)
        last: dict[str, Any] = json.loads(self.process.stdout.readlines()[-1])
        assert self.process.wait(120) == 0
        return last


@pytest.fixture(scope="module")
def modelyard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """Where version 1 serves, and version 2 has no traffic yet."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command_line = CommandLine(tmp_path_factory.mktemp("following") / "home", port)
    for candidate in ("baseline", "logistic"):
        trained = command_line("train", "titanic", "--candidates", candidate)
        assert "version" in trained.document, trained.stderr
    released = command_line("release", "titanic", "--version", "1")
    assert released.code == 0, released.stderr
    yield command_line
    command_line("stop")


@pytest.fixture(scope="module")
def endpoint(modelyard: CommandLine) -> Iterator[httpx.Client]:
    (row,) = modelyard("history", "titanic").document["releases"]
    with httpx.Client(base_url=row["address"], trust_env=False) as http:
        yield http


@contextmanager
def following_version_2(
    modelyard: CommandLine, *options: str, by: Sequence[str] = ("replay", "--follow")
) -> Iterator[Follower]:
    with subprocess.Popen(
        [sys.executable, "run.py", *by, "titanic", "--version", "2", *options, "--json"],
        cwd=PROJECT,
        env=modelyard.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            # What was asked before that is not followed.
            while "Following titanic by version 2" not in (line := process.stderr.readline()):
                assert line, "it did not begin"
            yield Follower(process)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def follower(modelyard: CommandLine, endpoint: httpx.Client) -> Iterator[Follower]:
    ask(endpoint, "before it")
    with following_version_2(modelyard, "--every", "1s") as follower:
        yield follower


def ask(endpoint: httpx.Client, *names: str) -> None:
    for number, name in enumerate(names):
        asked = EXAMPLE | {"Age": 20.0 + number}
        endpoint.post("/predict", json=asked, headers={"X-Request-ID": name}).raise_for_status()


def tell(endpoint: httpx.Client, **outcomes: int) -> None:
    rows = [{"request_id": name, "value": value} for name, value in outcomes.items()]
    endpoint.post("/outcomes", json={"outcomes": rows}).raise_for_status()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--follow", "--every", "often"), "An interval is a number of seconds"),
        (("--follow", "--every", "0s"), "An interval is a number of seconds"),
        (("--every", "10s"), "--every says how often --follow looks"),
        (("--follow", "--since", "2999-01-01"), "--since is a moment that was"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, options: tuple[str, ...], told: str) -> None:
    refused = CommandLine(tmp_path / "home", 1)("replay", "titanic", *options)
    assert refused.code == 2
    assert refused.document["error"].startswith(told)
    assert not (tmp_path / "home").exists()


def test_a_shadow_is_no_canary(tmp_path: Path) -> None:
    refused = CommandLine(tmp_path / "home", 1)("release", "titanic", "--shadow", "--canary", "10%")
    assert refused.code == 2
    assert refused.document["error"].startswith("--shadow releases nothing")


def test_while_nothing_is_asked_it_waits(follower: Follower) -> None:
    said = follower.next()
    assert (said["requests"], said["answers"], said["error"]) == (0, None, None)
    assert following.line(said).endswith("0 requests (0 so far)")


def test_each_request_is_seen_once_soon_after_it_was_answered(
    follower: Follower, endpoint: httpx.Client
) -> None:
    ask(endpoint, "a", "b", "c")
    said = follower.until(3)
    assert sum(each["requests"] for each in follower.lines) == 3
    assert said["answers"]["rows"] == said["requests"]
    # The two are models of different kinds.
    assert said["answers"]["same"] == 0
    assert 0 < said["answers"]["median"] <= said["answers"]["largest"] < 1
    assert 0 < said["microseconds"] < 100_000
    assert said["error"] is None
    assert " 0.0% the same; apart by " in following.line(said)


def test_outcomes_count_though_they_come_later_than_requests(
    follower: Follower, endpoint: httpx.Client
) -> None:
    tell(endpoint, a=1)
    said = follower.until(3, 1)["error"]
    # One class alone has no log loss.
    assert (said["rows"], said["candidate"]) == (1, None)
    tell(endpoint, b=0)
    ask(endpoint, "d")
    said = follower.until(4, 2)
    error = said["error"]
    assert error["rows"] == 2
    assert error["candidate"] > 0
    assert error["candidate"] != error["answered"]
    assert "beside" in following.line(said)
    assert "on 2 outcomes so far" in following.line(said)


def test_a_database_that_stops_is_waited_for_and_what_was_asked_meanwhile_is_seen(
    modelyard: CommandLine, follower: Follower, endpoint: httpx.Client
) -> None:
    assert embedded.stop(modelyard.home)
    while "waits" not in (said := follower.next()):
        assert said["followed"]["requests"] == 4
    assert "the log does not answer, and is asked again" in following.line(said)
    ask(endpoint, "e", "f")
    embedded.ensure_running(modelyard.home)
    ask(endpoint, "g")
    follower.until(7, 2)
    assert len([each for each in follower.lines if "waits" in each]) == 1


def test_another_version_that_is_released_meanwhile_is_followed_as_well(
    modelyard: CommandLine, follower: Follower, endpoint: httpx.Client
) -> None:
    released = modelyard("release", "titanic", "--version", "2")
    assert released.code == 0, released.stderr
    ask(endpoint, "h")
    assert follower.until(8, 2)["answers"]["same"] == 1


def test_sigterm_ends_it_with_all_of_it_as_replay_has_it(modelyard: CommandLine, follower: Follower) -> None:
    told = follower.ended()
    assert (told["logged"], told["answers"]["rows"], told["beside"]) == (8, 8, [1, 2])
    assert told["answers"]["same"] == 1 / 8
    assert told["speed"]["newest"]["version"] == 2
    last = [each for each in follower.lines if "followed" in each][-1]["error"]
    assert told["error"]["candidate"] == pytest.approx(last["candidate"])
    replayed = modelyard("replay", "titanic", "--version", "2", "--since", told["since"]).document
    assert [replayed[key] for key in ("answers", "logged", "error")] == [
        told[key] for key in ("answers", "logged", "error")
    ]
    text = read(report, Done(0, told, ""))
    assert "titanic version 2 beside version 1, 2, on 8 of the 8 requests" in text
    assert "Answers: " in text


def test_what_was_logged_before_can_be_seen_first_and_the_end_may_come_at_once(
    modelyard: CommandLine,
) -> None:
    with following_version_2(modelyard, "--since", "2026-01-01") as follower:
        assert follower.next()["followed"] == {"requests": 9, "outcomes": 2}
    with following_version_2(modelyard) as follower:
        told = follower.ended()
        assert (told["logged"], told["answers"], told["error"]) == (0, None, None)
        assert "on 0 of the 0 requests" in read(report, Done(0, told, ""))


def test_a_release_as_a_shadow_is_the_same_and_releases_nothing(
    modelyard: CommandLine, endpoint: httpx.Client
) -> None:
    before = modelyard("history", "titanic").document
    with following_version_2(modelyard, by=("release", "--shadow")) as follower:
        ask(endpoint, "i")
        assert follower.until(1)["followed"]["requests"] == 1
        assert follower.ended()["logged"] == 1
    assert modelyard("history", "titanic").document == before
