"""`monitor`, as a person runs it: what was logged is checked once, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg2
import pytest
from psycopg2.extras import execute_values

import usecases
from console import monitoring, reports
from db import checks, migrate
from db.session import advisory_lock
from serving.rows import requests
from settings import PROJECT
from tests.integration.command_line import CommandLine, Done, read

CASE = usecases.load("titanic")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def modelyard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """A home in which the passengers' model was trained."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command_line = CommandLine(tmp_path_factory.mktemp("monitoring") / "home", port)
    trained = command_line("train", "titanic", "--candidates", "baseline")
    assert trained.document["version"] == 1, trained.stderr
    migrate.upgrade(command_line.url("modelyard"))
    yield command_line
    command_line("stop")


@pytest.fixture(scope="module")
def validation(modelyard: CommandLine) -> pd.DataFrame:
    """The rows that the model was judged by, with its predictions."""
    from tracking import registry

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", modelyard.url("mlflow"))
        return registry.validation(registry.find("titanic", "1"))


@pytest.fixture
def url(modelyard: CommandLine) -> str:
    return modelyard.url("modelyard")


def log(url: str, rows: pd.DataFrame, at: datetime, version: int = 1) -> None:
    """Note that these rows were asked for, a microsecond one after another, and what came true of them."""
    asked, known = [], []
    answers = zip(requests(CASE.contract, rows), rows["prediction"], rows[CASE.target], strict=True)
    for row, (inputs, prediction, truth) in enumerate(answers):
        moment = at + timedelta(microseconds=row)
        output = CASE.respond(prediction).model_dump_json()
        asked.append((moment, f"{at.timestamp()}", row, version, json.dumps(inputs), output))
        known.append((f"{at.timestamp()}", row, float(truth), moment, moment))
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT prediction_partition(%s)", (at.date(),))
        execute_values(
            cursor,
            "INSERT INTO predictions (at, request_id, row, model_version, inputs, output, use_case, seconds) "
            "VALUES %s",
            asked,
            "(%s, %s, %s, %s, %s, %s, 'titanic', 0)",
        )
        execute_values(cursor, "INSERT INTO outcomes VALUES %s", known, "('titanic', %s, %s, %s, %s, %s)")
    connection.close()


def after_the_last(url: str) -> datetime:
    """A moment that the last check did not see, and the next one will."""
    newest = checks.newest(url, "titanic")
    return newest.until if newest else datetime.now(UTC) - timedelta(minutes=1)


def on_record(url: str) -> list[int]:
    return [one.id for one in checks.listed(url, "titanic")]


def found(done: Done) -> Any:
    assert done.code == 0, done.stderr
    return done.document["check"]


def test_where_nothing_was_logged_it_is_said_what_to_do(modelyard: CommandLine) -> None:
    done = modelyard("monitor", "titanic")
    assert done.code == 5
    assert done.document["error"].startswith("No prediction of titanic is logged that is older than 10 s.")
    assert modelyard("checks", "titanic").document["checks"] == []


def test_too_few_rows_are_looked_at_again_once_more_have_come(
    modelyard: CommandLine, url: str, validation: pd.DataFrame
) -> None:
    log(url, validation.iloc[:20], datetime.now(UTC) - timedelta(minutes=1))
    first = found(modelyard("monitor", "titanic"))
    assert (first["verdict"], first["rows"], first["outcomes"]) == ("too few rows", 20, 20)
    again = modelyard("monitor", "titanic")
    assert not again.document["new"]
    assert len(on_record(url)) == 1

    log(url, validation, after_the_last(url))
    done = modelyard("monitor", "titanic")
    second = found(done)
    assert (second["verdict"], second["rows"], second["since"]) == ("good", 20 + 268, first["since"])
    page = Path(done.document["report"]).read_text()
    assert ">Good</p>" in page
    assert done.document["run"] in page
    assert modelyard("checks", "titanic").document["checks"][0]["zenml_run"] == done.document["run"]


def test_when_nothing_new_came_the_last_check_is_told_again(modelyard: CommandLine, url: str) -> None:
    before = on_record(url)
    done = modelyard("monitor", "titanic")
    assert (found(done)["verdict"], done.document["new"], done.document["recorded"]) == (
        "good",
        False,
        before[0],
    )
    assert f"Nothing new since check {before[0]}" in read(monitoring.report, done)
    assert on_record(url) == before
    shown = modelyard("status")
    assert shown.document["use_cases"][1]["check"]["verdict"] == "good"
    assert re.search(r"titanic .* [0-9:]{5} good$", read(reports.status, shown), re.MULTILINE)


def test_a_check_that_was_killed_leaves_nothing_and_the_next_one_sees_all(
    modelyard: CommandLine, url: str, validation: pd.DataFrame
) -> None:
    before = on_record(url)
    log(url, validation.assign(Age=validation["Age"] + 30), after_the_last(url))
    # These waited on the endpoint's disk.
    log(url, validation.iloc[:3], after_the_last(url) - timedelta(seconds=1))
    process = subprocess.Popen(
        [sys.executable, "run.py", "monitor", "titanic"],
        cwd=PROJECT,
        env=modelyard.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("monitor: observe"):
                os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert on_record(url) == before
    done = modelyard("monitor", "titanic")
    assert found(done)["rows"] == 268
    assert {one["column"] for one in found(done)["shifts"] if one["drifted"]} == {"Age"}
    assert len(on_record(url)) == len(before) + 1
    text = read(monitoring.report, done)
    assert "age is higher" in text.lower()
    assert "Not looked at: 3 predictions that reached the database after the last check" in text


def test_two_checks_at_once_are_one_check(modelyard: CommandLine, url: str) -> None:
    before = on_record(url)
    with advisory_lock(url, "monitor titanic"):
        done = modelyard("monitor", "titanic")
    assert done.code == 4
    assert done.document["error"].startswith("Another process is at it: monitor titanic.")
    assert on_record(url) == before


@pytest.mark.parametrize(("since", "told"), [("noon", "'noon'"), ("2999-01-01", "not at 2999-01-01")])
def test_a_moment_that_makes_no_sense_is_refused(modelyard: CommandLine, since: str, told: str) -> None:
    done = modelyard("monitor", "titanic", "--since", since)
    assert done.code == 2
    assert told in done.document["error"]


def test_the_check_is_about_one_version_and_counts_the_rows_of_others(
    modelyard: CommandLine, url: str, validation: pd.DataFrame
) -> None:
    trained = modelyard("train", "titanic", "--candidates", "baseline", "--seed", "7")
    assert trained.document["version"] == 2, trained.stderr
    log(url, validation, after_the_last(url))
    log(url, validation.iloc[:5], after_the_last(url) + timedelta(seconds=1), version=2)
    done = modelyard("monitor", "titanic")
    assert (found(done)["model_version"], found(done)["rows"]) == (2, 5)
    assert done.document["notes"] == ["268 predictions of version 1: the check is about version 2."]
