"""Checks of a cluster's models: pods read the log and note what they found through the platform's server."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import usecases
from serving.rows import requests
from tests.integration.command_line import CommandLine
from tests.kubernetes.cluster import Platform

CASE = usecases.load("titanic")
ROWS = 400


@pytest.fixture(scope="module")
def checked(run: CommandLine, platform: Platform) -> dict[str, Any]:
    """A check of a model that was asked for passengers of the list itself."""
    trained = run("--stack", "kubernetes", "train", "titanic", "--candidates", "baseline")
    # Other tests have asked for passengers before, on the same platform.
    begin = datetime.now(UTC) - timedelta(seconds=90)
    log(platform, trained.document["version"])
    done = run("--stack", "kubernetes", "monitor", "titanic", "--since", begin.isoformat())
    assert done.code == 0, done
    return done.document


def log(platform: Platform, version: int) -> None:
    """Note that these passengers were asked for a minute ago, and what became of them."""
    rows = CASE.clean(CASE.read(CASE.locate(next(iter(CASE.sources)), None, Path()))).frame.sample(
        ROWS, random_state=1
    )
    asked = [
        {"row": row, "inputs": inputs, "output": {"survived": True, "probability": 0.5}, "value": truth}
        for row, (inputs, truth) in enumerate(
            zip(requests(CASE.contract, rows), rows[CASE.target].tolist(), strict=True)
        )
    ]
    statement = (
        "SELECT prediction_partition((now() AT TIME ZONE 'UTC')::date), "
        "prediction_partition((now() AT TIME ZONE 'UTC' - interval '1 minute')::date);\n"
        "CREATE TEMPORARY TABLE asked AS SELECT * FROM json_to_recordset($rows$"
        + json.dumps(asked)
        + "$rows$) AS one(row int, inputs jsonb, output jsonb, value float8);\n"
        f"INSERT INTO predictions SELECT now() - interval '1 minute', 'list', row, 'titanic', {version}, "
        "NULL, inputs, output, 0 FROM asked;\n"
        "INSERT INTO outcomes SELECT 'titanic', 'list', row, value, now(), now() - interval '1 minute' "
        "FROM asked;\n"
    )
    platform.kubectl(
        "exec", "--stdin", f"{platform.release}-postgresql-0", "--", "psql", "--username=postgres",
        "--dbname=modelyard", "--set=ON_ERROR_STOP=1", stdin=statement,
    )  # fmt: skip


def test_a_check_in_pods_sees_all_that_was_logged_and_is_on_record(
    checked: dict[str, Any], run: CommandLine
) -> None:
    check = checked["check"]
    assert (check["rows"], check["compared"], check["outcomes"]) == (ROWS, ROWS, ROWS)
    assert [shift["column"] for shift in check["shifts"]] == list(CASE.monitored)
    listed = run("--stack", "kubernetes", "checks", "titanic").document["checks"]
    assert (listed[0]["id"], listed[0]["zenml_run"]) == (checked["recorded"], checked["run"])
    assert checked["run"] in Path(checked["report"]).read_text()


def test_when_nothing_came_since_no_pod_is_started(
    checked: dict[str, Any], run: CommandLine, platform: Platform
) -> None:
    before = platform.get("pods", namespace=platform.pipelines)
    again = run("--stack", "kubernetes", "monitor", "titanic")
    assert again.code == 0, again
    assert not again.document["new"]
    assert again.document["recorded"] == checked["recorded"]
    assert len(platform.get("pods", namespace=platform.pipelines)) <= len(before)


def test_prometheus_is_told_of_it(checked: dict[str, Any], platform: Platform) -> None:
    import httpx

    login = platform.secret("login")
    with platform.forwarded("mlflow", 5000) as url:
        answer = httpx.get(f"{url}/modelyard/metrics", auth=(login["username"], login["password"]))
    assert f'modelyard_check_rows{{use_case="titanic"}} {ROWS}.0' in answer.text
