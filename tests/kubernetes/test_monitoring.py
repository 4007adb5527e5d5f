"""Checks of a cluster's models: pods read the log and note what they found through the platform's server."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

import usecases
from serving.rows import requests
from tests.integration.command_line import CommandLine
from tests.kubernetes import probes
from tests.kubernetes.cluster import Platform, command, wait_for
from tests.kubernetes.probes import Probe

CASE = usecases.load("titanic")
ROWS = 400
SCRAPE = """
import base64, json, sys, urllib.request
url, *login = json.load(sys.stdin)
basic = base64.b64encode(":".join(login).encode()).decode()
request = urllib.request.Request(url, headers={"Authorization": f"Basic {basic}"})
print(urllib.request.urlopen(request).read().decode())
"""


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


def test_prometheus_is_let_in_with_the_login_that_its_operator_is_told_and_hears_of_it(
    checked: dict[str, Any], platform: Platform
) -> None:
    place = f"{platform.namespace}-prometheus"
    policy, monitor = monitored(platform, place)
    platform.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=json.dumps(policy))
    command("kubectl", "create", "namespace", place)
    try:
        with probes.started(platform, Probe(place, "prometheus")):
            (pod,) = platform.servers("mlflow")
            host, port = probes.address(pod, 5000)
            (asked,) = monitor["spec"]["endpoints"]
            login = [secret_value(platform, asked["basicAuth"][part]) for part in ("username", "password")]
            # A cluster may take a moment to enforce what a policy says.
            wait_for(
                lambda: probes.reached(place, "prometheus", {"mlflow": (host, port)}), "the way to MLflow", 30
            )
            said = command(
                "kubectl", "--namespace", place, "exec", "--stdin", "prometheus", "--",
                "python", "-c", SCRAPE,
                stdin=json.dumps([f"http://{host}:{port}{asked['path']}", *login]),
            )  # fmt: skip
    finally:
        command("kubectl", "delete", "namespace", place, "--wait=false")
    assert f'modelyard_check_rows{{use_case="titanic"}} {ROWS}.0' in said


def monitored(platform: Platform, place: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """MLflow's policy and the ServiceMonitor of checks, where Prometheus runs in `place`.

    Rendered, since a cluster without the operator has no such objects.
    """
    key = r"serviceMonitor.prometheusFrom[0].namespaceSelector.matchLabels.kubernetes\.io/metadata\.name"
    shown = (f"--show-only=templates/{name}.yaml" for name in ("networkpolicies", "servicemonitor"))
    rendered = platform.helm(
        "template", "--kube-version=1.34", *shown, "--set=serviceMonitor.enabled=true", f"--set={key}={place}"
    )
    found = {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(rendered) if each}
    return found["NetworkPolicy", "modelyard-mlflow"], found["ServiceMonitor", "modelyard-checks"]


def secret_value(platform: Platform, reference: dict[str, str]) -> str:
    (found,) = platform.get("secret", reference["name"])
    return b64decode(found["data"][reference["key"]]).decode()
