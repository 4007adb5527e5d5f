"""A real Prometheus reads what an endpoint counts, and judges it by the alert rules."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from serving.metrics import LogState, Metrics
from serving.ranges import Ranges
from settings import PROJECT
from usecases.titanic.contract import PassengerRequest

PROMETHEUS = shutil.which("prometheus") or ""
RULES = PROJECT / "k8s" / "monitoring" / "rules.yaml"
PROFILE = {
    "rows": 10,
    "columns": {"Age": {"missing": 0, "quantiles": {"0.0": 1.0, "1.0": 70.0}}},
}
INFO = {"model": "titanic", "version": "3", "candidate": 'a "b" \\ c\nd'}

TROUBLES = {
    "ModelyardErrors",
    "ModelyardSlow",
    "ModelyardOverloaded",
    "ModelyardPredictionLogLagging",
    "ModelyardPredictionLogDisconnected",
    "ModelyardInputOutOfRange",
}

pytestmark = pytest.mark.skipif(
    not PROMETHEUS, reason="prometheus is not on PATH; on Debian: apt install prometheus"
)


class Watched:
    """An endpoint's metrics behind a server, and a Prometheus that reads them every second."""

    def __init__(self, metrics: Metrics, url: str) -> None:
        self.metrics, self.url = metrics, url

    def get(self, path: str, **parameters: str) -> Any:
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=10)
        answer.raise_for_status()
        return answer.json()["data"]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        found = self.get("query", query=expression)["result"]
        return [(each["metric"], float(each["value"][1])) for each in found]


def wait_for(ask: Callable[[], Any], seconds: float = 60) -> Any:
    """What `ask` answers once it is something."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = ask()
        except httpx.HTTPError:
            found = None
        if found:
            return found
        assert time.monotonic() < deadline, "Prometheus did not get there in time"
        time.sleep(0.2)


def in_trouble(watched: Watched) -> dict[str, str] | None:
    """The state of each alert, once those that have a reason know of it."""
    rules = [rule for group in watched.get("rules")["groups"] for rule in group["rules"]]
    states = {rule["name"]: rule["state"] for rule in rules}
    known = {name for name, state in states.items() if state != "inactive"}
    return states if known >= TROUBLES and all(rule["health"] == "ok" for rule in rules) else None


@pytest.fixture
def watched(tmp_path: Path, free_port: int) -> Iterator[Watched]:
    metrics = Metrics(
        tmp_path / "spool",
        INFO,
        Ranges(PassengerRequest, PROFILE),
        lambda: LogState(rows=7, dropped={"disk": 2}, spool_bytes=10, lag_seconds=400.0, connected=False),
    )

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = metrics.exposition()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    endpoint = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=endpoint.serve_forever, daemon=True).start()
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {
                "job_name": "endpoints",
                "static_configs": [
                    {
                        "targets": [f"127.0.0.1:{endpoint.server_port}"],
                        "labels": {"use_case": "titanic"},
                    }
                ],
            }
        ],
    }
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [
                PROMETHEUS,
                f"--config.file={tmp_path}/prometheus.yml",
                f"--storage.tsdb.path={tmp_path}/data",
                f"--web.listen-address=127.0.0.1:{free_port}",
            ],
            stdout=log,
            stderr=log,
        )
        try:
            yield Watched(metrics, f"http://127.0.0.1:{free_port}")
        finally:
            process.terminate()
            process.wait(30)
            endpoint.shutdown()
            endpoint.server_close()


@pytest.mark.slow
def test_prometheus_has_what_was_counted_and_alerts_by_it(watched: Watched) -> None:
    wait_for(lambda: watched.query('modelyard_requests_total{route="predict",status="500"} == 0'))
    assert watched.get("targets")["activeTargets"][0]["lastError"] == ""
    ((labels, one),) = watched.query("modelyard_model_info")
    assert (labels["candidate"], labels["version"], one) == (INFO["candidate"], "3", 1)

    passenger = PassengerRequest(Pclass=1, Sex="female", Age=90.0)
    for number in range(100):
        watched.metrics.begin()
        watched.metrics.predicted(passenger)
        watched.metrics.end("predict", 500 if number < 10 else 200, 0.2)
    watched.metrics.refused("overloaded")

    wait_for(lambda: watched.query("modelyard_predictions_total == 100"))
    assert wait_for(lambda: watched.query('modelyard_input_out_of_range_total{feature="Age"}'))[0][1] == 100
    wait_for(lambda: watched.query('rate(modelyard_requests_total{status="500"}[5m]) > 0'))

    # All of them see their trouble at once, and wait as long as their rule says before they tell anybody.
    states = wait_for(lambda: in_trouble(watched))
    assert states["ModelyardEndpointDown"] == "inactive"
    for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"]:
        fires = {labels["use_case"] for labels, _ in watched.query(rule["expr"])}
        assert fires == ({"titanic"} if rule["alert"] in TROUBLES else set()), rule["alert"]
