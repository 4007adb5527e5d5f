"""Pods have no database: what they note through MLflow's server is told by it."""

from __future__ import annotations

import time

import pytest

from releases.records import Records
from tests.integration.events.receiver import KEY, receiving
from tests.integration.postgresql import servers
from tests.integration.releases.mlflow_server import LOGIN, running


@pytest.mark.slow
def test_a_release_by_a_pod_is_told_by_the_platforms_server(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("home")
    with receiving() as receiver, servers.running(tmp_path_factory.mktemp("server")) as server:
        settings = {"MODELYARD_EVENTS": receiver.url, "MODELYARD_EVENTS_KEY": KEY}
        receiver.answers = [500]
        with running(server.url(), home, **settings) as mlflow:
            records = Records(mlflow, *LOGIN)
            number = records.begin(
                use_case="taxi",
                model_version=4,
                bento="taxi:4",
                target="cluster",
                released_by="someone@somewhere",
                zenml_run="release_taxi-1",
            )
            records.serve(number, "http://taxi.inference.svc:3000")
            deadline = time.monotonic() + 30
            while not receiver.taken:
                assert time.monotonic() < deadline
                time.sleep(0.05)
    (event,) = receiver.taken
    assert (event["type"], event["source"]) == ("modelyard.release", "/modelyard/releases/cluster")
    assert event["data"]["zenml_run"] == "release_taxi-1"
    log = (home / "log").read_text()
    assert "Target 1 (http) of events has not taken modelyard.release" in log
    assert "secret-path" not in log
    assert KEY not in log
