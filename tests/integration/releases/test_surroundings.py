"""What an endpoint on this machine has around it: a log that it can only write to, and its keys."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest

import usecases
from db import predictions, roles
from errors import DataError
from serving import client, keys
from tests.integration.releases.titanic import USE_CASE, Built, Place, ask

EXAMPLE = dict(usecases.contract_of(USE_CASE).example)


@pytest.fixture
def http(place: Place, first: Built) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=place.release(first).address, trust_env=False) as connected:
        yield connected


def logged(place: Place, count: int) -> list[dict[str, Any]]:
    """The predictions in the database, once there are so many; the newest first."""
    return until(lambda: predictions.latest(place.url, USE_CASE, 10_000), lambda rows: len(rows) >= count)


def until(look: Callable[[], Any], done: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + 15
    while not done(found := look()):
        assert time.monotonic() < deadline, f"It stays at {found!r:.300}"
        time.sleep(0.1)
    return found


def add_key(place: Place, name: str, *rights: str) -> str:
    made: list[str] = []

    def added(text: str) -> str:
        text, key = keys.added(text, name, rights)
        made.append(key)
        return text

    keys.change(key_file(place), added)
    return made[0]


def key_file(place: Place) -> Path:
    return place.settings.home / "endpoints" / f"{USE_CASE}.keys"


def test_what_was_answered_is_in_postgresql_within_seconds_and_what_verified_it_is_not(
    place: Place, http: httpx.Client
) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"X-Request-ID": "order-17", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    answer = http.post("/predict", json=EXAMPLE, headers=headers)
    assert answer.headers["x-request-id"] == "order-17"
    (row,) = logged(place, 1)
    assert (row["request_id"], row["row"], row["trace_id"]) == ("order-17", 0, trace)
    assert (row["use_case"], row["model_version"]) == (USE_CASE, 1)
    assert row["inputs"] == EXAMPLE
    assert {**row["output"], "model_version": 1} == answer.json()
    assert 0 < row["seconds"] < 5


def test_rows_of_a_batch_are_logged_one_by_one_under_its_id(place: Place, http: httpx.Client) -> None:
    answer = http.post("/predict_batch", json={"rows": [EXAMPLE, {**EXAMPLE, "Sex": "male"}]})
    rows = sorted(logged(place, 2), key=lambda row: row["row"])
    assert [(row["request_id"], row["row"]) for row in rows] == [
        (answer.headers["x-request-id"], 0),
        (answer.headers["x-request-id"], 1),
    ]
    assert [row["output"] for row in rows] == answer.json()["predictions"]
    assert [row["inputs"]["Sex"] for row in rows] == ["female", "male"]


def test_what_came_true_joins_its_prediction(place: Place, http: httpx.Client) -> None:
    name = http.post("/predict", json=EXAMPLE).headers["x-request-id"]
    for value in (0.0, 1.0, 1.0):
        told = http.post("/outcomes", json={"outcomes": [{"request_id": name, "value": value}]})
        assert told.json() == {"accepted": 1}
    (row,) = until(
        lambda: predictions.latest(place.url, USE_CASE, 10),
        lambda rows: len(rows) == 1 and rows[0]["value"] == 1.0,
    )
    assert row["request_id"] == name


def test_outcomes_that_are_none_are_refused_with_their_field(http: httpx.Client) -> None:
    for wrong in (
        {"request_id": "a b", "value": 1.0},
        {"request_id": "a"},
        {"request_id": "a", "value": "1"},
    ):
        refused = http.post("/outcomes", json={"outcomes": [wrong]})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"].startswith("outcomes.0.")


def test_the_login_of_endpoints_can_log_and_read_nothing(place: Place, http: httpx.Client) -> None:
    file = place.settings.home / "endpoints" / "database.url"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with psycopg2.connect(file.read_text()) as connection, connection.cursor() as cursor:
        for secret in ("predictions", "releases"):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(f"SELECT * FROM {secret}")
            connection.rollback()


def test_an_endpoint_goes_on_answering_without_its_database_and_logs_it_later(
    place: Place, http: httpx.Client
) -> None:
    file = place.settings.home / "endpoints" / "database.url"
    right = file.read_text()
    assert http.post("/predict", json=EXAMPLE).status_code == 200
    logged(place, 1)
    with psycopg2.connect(place.url) as connection, connection.cursor() as cursor:
        file.write_text("postgresql://nobody@127.0.0.1:1/none")
        cursor.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{roles.ENDPOINT.name}'"
        )
    for _ in range(20):
        assert http.post("/predict", json=EXAMPLE).status_code == 200
    until(lambda: http.get("/metrics").text, lambda text: "modelyard_prediction_log_connected 0.0" in text)
    file.write_text(right)
    assert len(logged(place, 21)) == 21


def test_a_key_opens_the_endpoint_to_who_has_it_and_no_one_else(place: Place, http: httpx.Client) -> None:
    assert http.post("/predict", json=EXAMPLE).status_code == 200
    key = add_key(place, "web", "predict")
    until(lambda: http.post("/predict", json=EXAMPLE).status_code, lambda status: status == 401)
    refused = http.post("/predict", json=EXAMPLE)
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.headers["content-type"] == "application/problem+json"
    for headers in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}):
        assert http.post("/predict", json=EXAMPLE, headers=headers).status_code == 200
    assert http.post("/predict", json=EXAMPLE, headers={"X-API-Key": key[:-1]}).status_code == 401
    told = http.post("/outcomes", json={"outcomes": []}, headers={"X-API-Key": key})
    assert told.status_code == 403
    assert "web does not have the right outcomes" in told.json()["detail"]
    for path in ("/livez", "/readyz", "/metrics", "/", "/docs", "/model"):
        assert http.get(path).status_code == 200, path
    keys.change(key_file(place), lambda text: keys.revoked(text, "web"))
    until(
        lambda: http.post("/predict", json=EXAMPLE, headers={"X-API-Key": key}).status_code,
        lambda status: status == 401,
    )


def test_an_endpoint_with_keys_is_released_and_verified_all_the_same(
    place: Place, first: Built, second: Built
) -> None:
    key = add_key(place, "web", "predict")
    assert place.release(first).verified
    address = place.release(second).address
    with pytest.raises(DataError, match=r"(?s)An API key is needed.*MODELYARD_API_KEY"):
        ask(address)
    with client.connect(address, key) as endpoint:
        assert endpoint.predict(EXAMPLE)["model_version"] == 2
    assert [row["model_version"] for row in logged(place, 1)] == [2]


def test_a_key_is_nowhere_but_with_who_made_it(place: Place, first: Built, http: httpx.Client) -> None:
    key = add_key(place, "web", "predict")
    until(lambda: http.post("/predict", json=EXAMPLE).status_code, lambda status: status == 401)
    assert http.post("/predict", json=EXAMPLE, headers={"X-API-Key": key}).status_code == 200
    logged(place, 1)
    found = [
        path
        for path in place.settings.home.rglob("*")
        if path.is_file() and key.encode() in path.read_bytes()
    ]
    assert found == []
    assert key not in json.dumps([str(row) for row in logged(place, 1)])
