"""What an endpoint's process writes is JSON that machines read, little, and nothing of what requests hold."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from db import embedded
from releases.local import _tail
from serving import keys, logs
from tests.conftest import _database
from tests.integration.releases.titanic import Built
from tests.integration.serving.live import EXAMPLE, Live, environment_of, serving

SECRET = "s3cr3t-7a1f"


def lines(live: Live, start: int = 0) -> list[dict[str, Any]]:
    return [json.loads(line) for line in live.log.read_bytes()[start:].decode().splitlines()]


def test_a_refusal_is_one_line_that_can_be_found_by_its_ids(live: Live) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"X-Request-ID": "find-me", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    with live.client() as http:
        assert http.post("/predict", json={}, headers=headers).status_code == 422
    (line,) = [line for line in lines(live) if line.get("request_id") == "find-me"]
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "INFO",
        "logger": "modelyard.endpoint",
        "message": "Refused: invalid",
        "request_id": "find-me",
        "trace_id": trace,
        "route": "predict",
        "status": 422,
    }


def test_a_flood_of_refusals_is_some_lines_and_a_count(live: Live) -> None:
    before = len(live.log.read_bytes())
    with live.client() as http:
        for _ in range(2_000):
            assert http.post("/predict", json={}).status_code == 422
    live.talk(*[b"nonsense\r\n\r\n"] * 3)
    # The count of a second is written when the next one has begun.
    deadline = time.monotonic() + 15
    while sum(refused(messages := [line["message"] for line in lines(live, before)])) < 2_000:
        assert time.monotonic() < deadline, messages
        time.sleep(0.1)
    assert sum(refused(messages)) == 2_000
    assert len(messages) < 200


def refused(messages: list[str]) -> Iterator[int]:
    """How many invalid requests each line stands for."""
    for message in messages:
        if message == "Refused: invalid":
            yield 1
        elif message.startswith("Refused: invalid: and "):
            yield int(message.split()[-2].replace(",", ""))


def test_no_secret_of_a_request_is_written_anywhere_but_to_the_database(live: Live) -> None:
    bad = EXAMPLE | {"Sex": SECRET}
    headers = {
        "Authorization": f"Bearer {SECRET}",
        "X-API-Key": SECRET,
        "Cookie": SECRET,
        "Content-Type": "application/json",
    }
    with live.client() as http:
        for path in (
            "/predict",
            "/predict_batch",
            "/explain",
            "/outcomes",
            "/v2/models/titanic/infer",
            f"/{SECRET}",
        ):
            for body in (
                json.dumps(bad),
                f'{{"rows": [{json.dumps(bad)}]}}',
                SECRET,
                f'{{"{SECRET}": 1, "{SECRET}": 2}}',
            ):
                for kind in ("application/json", "application/vnd.apache.arrow.stream", SECRET):
                    answered = http.post(path, content=body, headers=headers | {"Content-Type": kind})
                    assert answered.status_code < 500
        http.post(f"/predict?key={SECRET}", json=EXAMPLE, headers={"X-Request-ID": f"{SECRET} {SECRET}"})
        http.request(SECRET, "/predict")
        http.get("/livez", headers={"traceparent": SECRET})
        live.talk(SECRET.encode() + b"\r\n\r\n")
        assert SECRET not in live.log.read_text()
        assert SECRET not in http.get("/metrics").text


def test_nobody_without_a_key_is_let_in_and_no_key_is_written(
    built: Built, server: embedded.Server, free_port: int, tmp_path: Path
) -> None:
    with _database(server) as url:
        around = environment_of(tmp_path / "home", url)
        text, key = keys.added("", "web", ["predict"])
        Path(around["MODELYARD_ENDPOINT_KEYS"]).write_text(text)
        with serving(built, tmp_path, around, port=free_port) as live, live.client() as http:
            assert http.post("/predict", json=EXAMPLE).status_code == 401
            assert http.post("/predict", json=EXAMPLE, headers={"X-API-Key": key + "x"}).status_code == 401
            assert http.post("/predict", json=EXAMPLE, headers={"X-API-Key": key}).status_code == 200
            outcome = {"outcomes": [{"request_id": "a", "value": 1.0}]}
            assert http.post("/outcomes", json=outcome, headers={"X-API-Key": key}).status_code == 403
            written = live.log.read_text()
            assert key not in written
            assert {line["message"] for line in lines(live)} >= {
                "Refused: unauthorized",
                "Refused: forbidden",
            }


def test_why_an_endpoint_ended_is_shown_in_words(tmp_path: Path) -> None:
    log = tmp_path / "log"
    try:
        raise ValueError("the reason")
    except ValueError:
        record = logging.LogRecord("uvicorn.error", logging.ERROR, "a.py", 1, "It ended", (), sys.exc_info())
    log.write_text(f"a plain line\n{logs.Lines().format(record)}\n[1, 2]\n")
    shown = _tail(log).splitlines()
    assert shown[:3] == ["  a plain line", "  It ended", "  Traceback (most recent call last):"]
    assert shown[-2:] == ["  ValueError: the reason", "  [1, 2]"]


@pytest.mark.parametrize("length", [9_999, 10_001, 1_000_000])
def test_a_long_message_is_cut_in_its_middle(length: int) -> None:
    text = "".join(str(number % 10) for number in range(length))
    record = logging.LogRecord("a", logging.ERROR, "a.py", 1, text, (), None)
    message = json.loads(logs.Lines().format(record))["message"]
    assert len(message) < 10_100
    assert (message == text) == (length < 10_000)
    assert message[-100:] == text[-100:]
