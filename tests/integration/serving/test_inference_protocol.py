"""Clients that others wrote for the Open Inference Protocol are answered as they expect."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn

import usecases
from serving import columns, inference_protocol
from serving.inference_protocol import Refused
from tests.integration.postgresql import environments

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Model:
    contract: Any
    version: int = 7

    def predict_columns(self, given: Mapping[str, columns.Array]) -> columns.Array:
        """A made-up prediction that takes every value into account."""
        total = np.zeros(len(next(iter(given.values()))))
        for array in given.values():
            if array.dtype == object:
                total += [0 if value is None else len(value) for value in array]
            elif array.dtype.kind == "M":
                total += array.astype("M8[h]").astype(np.int64) % 24
            else:
                total += np.nan_to_num(array)
        return total / 1000


CASES: dict[str, dict[str, list[Any]]] = {
    "taxi": {
        "PULocationID": [74, 1, 265],
        "DOLocationID": [236, 2, 3],
        "lpep_pickup_datetime": ["2024-02-14T08:30:00", "2024-02-14T23:59:59.5", "2009-01-01T00:00:00"],
        "trip_distance": [3.1, 0.0, 100.0],
        "trip_type": [1, 2, 1],
    },
    "titanic": {
        "Pclass": [1, 3],
        "Sex": ["female", "male"],
        "Age": [31.0, 0.5],
        "Embarked": ["S", "C"],
    },
}


def application(model: Model) -> Any:
    rules = columns.rules(model.contract.request)

    def answer(path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
        parts = path.strip("/").split("/")
        try:
            if parts[1:2] == ["models"]:
                version = parts[4] if parts[3:4] == ["versions"] else None
                inference_protocol.find(model, parts[2], version)
                if parts[-1] == "infer":
                    return 200, *inference_protocol.infer(model, rules, body, headers)
                if parts[-1] == "ready":
                    return 200, json.dumps(inference_protocol.model_ready(model, True)).encode(), {}
                return 200, json.dumps(inference_protocol.model_metadata(model)).encode(), {}
            if parts[1:2] == ["health"]:
                return 200, b'{"live": true}', {}
            return 200, json.dumps(inference_protocol.server_metadata("1")).encode(), {}
        except Refused as error:
            return error.status, error.body, {}

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            event = await receive()
            body, more = body + event["body"], event["more_body"]
        status, content, headers = answer(
            scope["path"], body, {key.decode(): value.decode() for key, value in scope["headers"]}
        )
        start = {"type": "http.response.start", "status": status}
        await send(start | {"headers": [(key.encode(), value.encode()) for key, value in headers.items()]})
        await send({"type": "http.response.body", "body": content})

    return serve


@contextmanager
def served(model: Model) -> Iterator[str]:
    """Address of a real server of the model."""
    server = uvicorn.Server(uvicorn.Config(application(model), lifespan="off", log_level="error"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def expected(model: Model, given: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The answer, request by request."""
    rows = [dict(zip(given, values, strict=True)) for values in zip(*given.values(), strict=True)]
    rules = columns.rules(model.contract.request)
    requests = [model.contract.request.model_validate_json(json.dumps(row)) for row in rows]
    values = model.predict_columns(columns.from_requests(rules, requests)).tolist()
    answers = [model.contract.respond(value).model_dump() for value in values]
    return {name: [answer[name] for answer in answers] for name in answers[0]}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_tritons_client_gets_the_right_answers_in_both_forms(name: str) -> None:
    python = environments.python_with("tritonclient[http]==2.73.0")
    model = Model(usecases.load(name))
    with served(model) as address:
        command = [python, str(HERE / "triton_client.py"), address, name, json.dumps(CASES[name])]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    right = expected(model, CASES[name])
    assert said["binary"] == said["json"] == right
    first = next(iter(right))
    assert said["mixed"] == {first: right[first]}
    assert (said["live"], said["ready"], said["id"]) == (True, True, "one")
    assert said["server"]["extensions"] == ["binary_tensor_data"]
    assert (said["model"]["name"], said["model"]["versions"]) == (name, ["7"])
    left_out = next(iter(CASES[name]))
    assert said["refused"] == ["400", f"{left_out}: Field required"]
    assert said["unknown"] == ["404", f"This endpoint serves {name}, version 7, not other."]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_mlservers_codec_of_frames_gets_the_right_answers(name: str) -> None:
    python = environments.python_with(
        "mlserver==1.7.1", "pandas==2.3.3"
    )  # it does not know the texts of pandas 3
    model = Model(usecases.load(name))
    command = [python, str(HERE / "mlserver_codec.py"), json.dumps(CASES[name])]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        assert client.stderr is not None
        request = client.stdout.readline()
        assert request, client.stderr.read()
        rules = columns.rules(model.contract.request)
        body, headers = inference_protocol.infer(model, rules, request.encode(), {})
        assert headers == {"content-type": "application/json"}
        metadata = json.dumps(inference_protocol.model_metadata(model))
        answer, trouble = client.communicate(f"{metadata}\n{body.decode()}\n")
    assert client.returncode == 0, trouble
    assert {key: list(values.values()) for key, values in json.loads(answer).items()} == expected(
        model, CASES[name]
    )
