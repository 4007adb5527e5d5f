"""What endpoints in a cluster log of predictions, whatever goes away meanwhile; and whom they let ask."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from releases.kubernetes.drift import drift
from releases.kubernetes.place import Place
from releases.kubernetes.release import TARGET, release
from tests.integration.command_line import CommandLine
from tests.integration.releases.titanic import USE_CASE
from tests.kubernetes import endpoints
from tests.kubernetes.cluster import Platform, command, logged, wait_for
from tests.kubernetes.endpoints import EXAMPLE, Version, pods

Say = Callable[[str], None]

KUBELET_SECONDS = 150
"""So long a change of a Secret may take to be in a pod: a minute between looks, and what the node keeps."""


@pytest.fixture(scope="module")
def one(platform: Platform, place: Place, tmp_path_factory: pytest.TempPathFactory) -> Version:
    """Version 1, released."""
    version = endpoints.version(platform, tmp_path_factory.mktemp("one"), 1, 1.0)
    release(place, version.wanted, version.content)
    return version


@pytest.fixture(autouse=True)
def _released(one: Version) -> None:
    """Each of these asks an endpoint."""


def ask(http: Any, name: str, count: int, **headers: str) -> set[str]:
    """Ask for so many predictions; returns their ids."""
    ids = {f"{name}-{number}" for number in range(count)}
    for one in ids:
        answer = http.post("/predict", content=EXAMPLE, headers={"X-Request-ID": one, **headers})
        assert answer.status_code == 200, answer.text
    return ids


def ids(platform: Platform, name: str) -> list[str]:
    """Ids in the log that begin so."""
    found = logged(platform, f"SELECT request_id FROM predictions WHERE request_id LIKE '{name}-%'")
    return sorted(row["request_id"] for row in found)


def test_predictions_and_what_came_of_them_are_rows_within_seconds(platform: Platform, say: Say) -> None:
    id = secrets.token_hex(8)
    with endpoints.at(f"service/{USE_CASE}", platform.inference) as http:
        answer = http.post("/predict", content=EXAMPLE, headers={"X-Request-ID": id})
        began = time.monotonic()
        query = f"SELECT * FROM predictions WHERE request_id = '{id}'"
        (row,) = wait_for(lambda: logged(platform, query), "the prediction in the log", 15)
        say(f"a prediction was a row after {time.monotonic() - began:.1f} s")
        assert (row["use_case"], row["model_version"], row["row"]) == (USE_CASE, 1, 0)
        assert row["inputs"] == json.loads(EXAMPLE)
        assert row["output"] | {"model_version": 1} == answer.json()
        told = http.post("/outcomes", json={"outcomes": [{"request_id": id, "value": 1.0}]})
        assert told.json() == {"accepted": 1}
    query = f"SELECT * FROM outcomes WHERE request_id = '{id}'"
    (outcome,) = wait_for(lambda: logged(platform, query), "the outcome in the log", 15)
    assert (outcome["use_case"], outcome["value"]) == (USE_CASE, 1.0)


def test_a_database_that_is_away_for_a_while_costs_neither_answers_nor_rows(platform: Platform) -> None:
    name = secrets.token_hex(4)
    database = f"statefulset/{platform.release}-postgresql"
    with endpoints.at(f"service/{USE_CASE}", platform.inference) as http:
        platform.kubectl("scale", database, "--replicas=0")
        try:
            wait_for(lambda: not platform.servers("postgresql"), "no database")
            asked = ask(http, name, 50)
            wait_for(
                lambda: "modelyard_prediction_log_connected 0" in http.get("/metrics").text,
                "an endpoint that says it has no database",
            )
        finally:
            platform.kubectl("scale", database, "--replicas=1")
            platform.kubectl("rollout", "status", database, "--timeout=120s")
        wait_for(lambda: len(ids(platform, name)) >= len(asked), lambda: f"{ids(platform, name)}")
        assert ids(platform, name) == sorted(asked)
        assert not any(
            line.startswith("modelyard_prediction_log_dropped_total") and not line.endswith(" 0")
            for line in http.get("/metrics").text.replace(".0\n", "\n").splitlines()
        )


def test_pods_that_go_ship_what_they_have(platform: Platform, say: Say) -> None:
    since = logged(platform, "SELECT now()::text AS now")[0]["now"]
    kubectl = ("kubectl", "--namespace", platform.inference)
    before = {pod["metadata"]["name"] for pod in pods(platform)}
    with endpoints.callers(platform), endpoints.asked(platform, rate=100) as counts:
        command(*kubectl, "rollout", "restart", f"deployment/{USE_CASE}")
        command(*kubectl, "rollout", "status", f"deployment/{USE_CASE}", "--timeout=120s")
        gone = [f"pod/{name}" for name in sorted(before)]
        command(*kubectl, "wait", "--for=delete", "--timeout=60s", *gone)
    assert counts.failures == []
    query = (
        "SELECT count(*) AS rows, count(DISTINCT request_id) AS ids FROM predictions "
        f"WHERE use_case = '{USE_CASE}' AND at >= '{since}'"
    )

    def whole() -> bool:
        return bool(logged(platform, query)[0]["rows"] >= counts.answered)

    wait_for(whole, lambda: f"{counts.answered} rows: {logged(platform, query)}", 30)
    (found,) = logged(platform, query)
    say(f"{counts}; rows: {found}")
    assert found["rows"] == found["ids"]


def test_a_new_password_of_the_log_comes_with_an_upgrade(platform: Platform) -> None:
    before = platform.secret("endpoint-database")["password"]
    platform.kubectl("delete", "secret", f"{platform.release}-endpoint-database")
    platform.kubectl("delete", "job", "--selector=app.kubernetes.io/component=migrate")
    platform.helm("upgrade")
    assert platform.secret("endpoint-database")["password"] != before
    kubectl = ("kubectl", "--namespace", platform.inference)
    command(*kubectl, "rollout", "restart", f"deployment/{USE_CASE}")
    command(*kubectl, "rollout", "status", f"deployment/{USE_CASE}", "--timeout=120s")
    name = secrets.token_hex(4)
    with endpoints.at(f"service/{USE_CASE}", platform.inference) as http:
        asked = ask(http, name, 3)
        wait_for(lambda: ids(platform, name) == sorted(asked), "what was asked in the log", 30)


@pytest.fixture
def key(run: CommandLine, platform: Platform) -> Iterator[str]:
    """A key that may ask; afterwards everybody may again."""
    added = run("--stack", "kubernetes", "keys", USE_CASE, "add", "web")
    assert added.code == 0, added
    yield str(added.document["key"])
    kubectl = ("kubectl", "--namespace", platform.inference)
    command(*kubectl, "delete", "secret", f"{USE_CASE}-keys")
    command(*kubectl, "rollout", "restart", f"deployment/{USE_CASE}")
    command(*kubectl, "rollout", "status", f"deployment/{USE_CASE}", "--timeout=120s")


def test_with_a_key_in_place_nobody_asks_without_one_but_a_release_proves_its_answers(
    key: str, platform: Platform, place: Place, tmp_path: Path, say: Say
) -> None:
    began = time.monotonic()
    with endpoints.at(f"service/{USE_CASE}", platform.inference) as http:
        wait_for(
            lambda: http.post("/predict", content=EXAMPLE).status_code == 401, "a refusal", KUBELET_SECONDS
        )
        say(f"a key was demanded {time.monotonic() - began:.0f} s after it was made")
        assert ask(http, secrets.token_hex(4), 1, Authorization=f"Bearer {key}")
    two = endpoints.version(platform, tmp_path, 2, 0.1)
    outcome = release(place, two.wanted, two.content)
    assert outcome.verified > 100
    for pod in pods(platform):
        told = {each["name"] for each in pod["spec"]["containers"][0]["env"]}
        assert "MODELYARD_ENDPOINT_VERIFIER" not in told
        with endpoints.at(f"pod/{pod['metadata']['name']}", platform.inference, 3000) as http:
            assert http.post("/predict", content=EXAMPLE).status_code == 401
            answer = http.post("/predict", content=EXAMPLE, headers={"X-API-Key": key})
            assert answer.json()["model_version"] == 2
    assert drift(place, USE_CASE, place.records.history(USE_CASE, TARGET)) == []
