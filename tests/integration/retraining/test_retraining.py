"""A model is kept good by itself: by the command line, the bundled trips come as months, one by one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from console import retraining
from db import decisions
from db.session import advisory_lock
from tests.integration.command_line import Done, read
from tests.integration.retraining.months import Loop


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    loop = Loop(tmp_path_factory.mktemp("loop"), port)
    yield loop
    loop.modelyard("stop")


@pytest.fixture(scope="module")
def first(loop: Loop) -> Done:
    """The first month, learnt from and released."""
    loop.month_comes("2024-01")
    return loop.retrain("--if-needed")


def test_from_nothing_the_first_model_is_trained_and_released(loop: Loop, first: Done) -> None:
    assert first.code == 0, first.stderr
    assert first.document["decision"] == "retrain"
    assert loop.serving() == 1
    text = read(retraining.report, first)
    assert "There is no champion yet, and 1 file at" in text
    assert "taxi version 1 now serves" in text


def test_with_nothing_new_nothing_is_done_however_often_it_is_asked(loop: Loop, first: Done) -> None:
    done = [loop.retrain("--if-needed") for _ in range(2)]
    assert [(each.code, each.document["decision"]) for each in done] == [(0, "nothing")] * 2
    assert done[0].document["number"] == done[1].document["number"]
    assert f"Version 1 has learnt from the 1 file at {loop.source}." in done[0].document["reasons"]
    assert loop.serving() == 1


def test_a_challenger_that_is_not_better_stays_one_and_is_not_trained_again(loop: Loop, first: Done) -> None:
    loop.month_comes("2024-02")
    worse = ("--if-needed", "--candidates", "baseline")
    lost = loop.retrain(*worse)
    assert (lost.code, lost.document["decision"]) == (3, "retrain"), lost.stderr
    (gate,) = [gate for gate in lost.document["training"]["gates"] if gate["gate"] == "champion"]
    assert "not better beyond chance" in gate["reason"]
    assert lost.document["training"]["champion"] == loop.serving() == 1

    again = loop.retrain(*worse)
    assert (again.code, again.document["decision"]) == (0, "nothing")
    assert "green_tripdata_2024-02.parquet" in again.document["reasons"][0]
    why = f"(decision {lost.document['number']}), and the champion was not beaten"
    assert why in again.document["reasons"][1]


def test_while_another_process_trains_it_is_said_so_and_nothing_is_done(loop: Loop, first: Done) -> None:
    before = loop.newest().id
    with advisory_lock(loop.url, "train taxi"):
        done = loop.retrain("--if-needed")
    assert done.code == 4
    assert "Another process is at it: train taxi" in done.document["error"]
    assert loop.newest().id == before


def test_killed_anywhere_the_next_run_goes_on_and_there_is_never_half_a_release(
    loop: Loop, first: Done
) -> None:
    # After it began; after the training, before its promotion; between promotion and release; while the new
    # process is up and the old one serves; and when all is done and not on record yet.
    walked: list[tuple[str, str, int]] = []
    for at in (
        "after:db.decisions.begin",
        "before:tracking.registry.crown",
        "before:pipelines.retraining.release",
        "before:releases.release.verify",
        "before:db.decisions.end",
    ):
        loop.killed(at)
        begun = loop.newest()
        assert begun.status == "begun"
        walked.append((at, begun.decision, loop.serving()))
    version = walked[-1][2]
    assert walked == [
        ("after:db.decisions.begin", "retrain", 1),
        ("before:tracking.registry.crown", "retrain", 1),
        ("before:pipelines.retraining.release", "retrain", 1),
        ("before:releases.release.verify", "release", 1),
        ("before:db.decisions.end", "release", version),
    ]
    assert version > 1

    last = loop.retrain("--if-needed")
    assert (last.code, last.document["decision"]) == (0, "nothing"), last.document
    assert loop.serving() == version
    given_up = [each.status for each in decisions.history(loop.url, "taxi", limit=6)]
    assert given_up == ["done", *["abandoned"] * 5]
    assert _endpoints(loop.modelyard.home) == 1


def test_what_was_decided_can_be_read(loop: Loop, first: Done) -> None:
    document = loop.modelyard("decisions", "taxi", "--limit", "50")
    text = read(retraining.report_of_decisions, document)
    assert "version 1 is champion now; version 1 serves" in text
    assert "did not beat the champion" in text
    assert "abandoned: its process was gone" in text
    assert "is champion and was never released; version 1 serves." in text


def test_in_a_cluster_watching_is_a_schedule(loop: Loop) -> None:
    done = loop.modelyard("watch", "taxi", "--once", "--stack", "kubernetes")
    assert done.code == 2, done.document
    assert "schedule taxi --cron '*/10 * * * *' --watch" in done.document["error"]


def _endpoints(home: Path) -> int:
    """Serving processes of that home, without the workers below each."""
    marked: list[Any] = []
    for process in psutil.process_iter(["cmdline", "ppid"]):
        words = " ".join(process.info["cmdline"] or ())
        if str(home / "bentoml") in words:
            marked.append(process)
    numbers = {process.pid for process in marked}
    return sum(process.info["ppid"] not in numbers for process in marked)
