"""`watch` from an empty home on: it trains, checks, retrains and releases, and nobody touches it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from db import decisions
from settings import PROJECT
from tests.integration.retraining.months import Loop


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    loop = Loop(tmp_path_factory.mktemp("watched"), port)
    yield loop
    loop.modelyard("stop")


@pytest.fixture(scope="module")
def watch(loop: Loop) -> Iterator[subprocess.Popen[str]]:
    """It runs; a line of JSON for each round is on its stdout."""
    loop.month_comes("2024-01")
    command = ["watch", "taxi", "--source", str(loop.source), "--candidates", "ridge", "--every", "1s"]
    with subprocess.Popen(
        [sys.executable, "run.py", *command, "--json"],
        cwd=PROJECT,
        env=loop.modelyard.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def test_the_first_month_is_learnt_from_and_there_is_nothing_to_check_yet(
    loop: Loop, watch: subprocess.Popen[str]
) -> None:
    first = _round(watch)
    assert first["retrain"]["decision"] == "retrain"
    assert first["monitor"]["exit_code"] == 5
    assert loop.serving() == 1


def test_what_the_endpoint_was_asked_is_checked(loop: Loop, watch: subprocess.Popen[str]) -> None:
    trips = loop.source / "green_tripdata_2024-01.parquet"
    output = loop.modelyard.home / "answers.parquet"
    assert loop.modelyard("predict", "taxi", "--file", str(trips), "--output", str(output)).code == 0
    while "check" not in (checked := _round(watch)["monitor"]):
        assert checked["exit_code"] == 5
    assert checked["check"]["model_version"] == 1


def test_when_the_next_month_comes_a_better_model_serves(loop: Loop, watch: subprocess.Popen[str]) -> None:
    loop.month_comes("2024-02")
    while (found := _round(watch)["retrain"])["decision"] != "retrain":
        assert found["decision"] == "nothing", found
    assert found["training"]["promoted"]
    assert loop.serving() == found["release"]["model_version"] == 2


def test_a_round_that_fails_is_told_and_the_next_one_comes_all_the_same(
    loop: Loop, watch: subprocess.Popen[str]
) -> None:
    broken = loop.source / "green_tripdata_2024-03.parquet"
    broken.write_bytes(b"no parquet")
    while "error" not in (failed := _round(watch)["retrain"]):
        assert failed["decision"] == "nothing"
    assert "green_tripdata_2024-03.parquet" in failed["error"]
    assert loop.newest().status == "failed"
    assert loop.serving() == 2
    broken.unlink()
    while "error" in (found := _round(watch)["retrain"]):
        assert loop.newest().status in ("failed", "done")
    assert found["decision"] == "nothing"


def test_sigterm_ends_it_well(loop: Loop, watch: subprocess.Popen[str]) -> None:
    watch.send_signal(signal.SIGTERM)
    watch.communicate(timeout=120)
    assert watch.returncode == 0
    assert not [each for each in decisions.history(loop.url, "taxi") if each.status == "begun"]
    assert loop.serving() == 2


def _round(watch: subprocess.Popen[str]) -> dict[str, Any]:
    """The next one; its line comes when it is over."""
    assert watch.stdout is not None
    line = watch.stdout.readline()
    assert line, "watch ended by itself"
    found: dict[str, Any] = json.loads(line)
    return found
