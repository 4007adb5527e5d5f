"""An endpoint as its own process, with its log in PostgreSQL, and ways to talk to it that no client would."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

import usecases
from releases.local import _environment
from serving import client, compiled, verification
from serving.compiled import Compiled
from tests.integration.releases.titanic import USE_CASE, Built

EXAMPLE: dict[str, Any] = dict(usecases.load(USE_CASE).example)


@dataclass(frozen=True)
class Live:
    """A running endpoint."""

    built: Built
    process: subprocess.Popen[bytes]
    port: int
    log: Path
    state: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def workers(self) -> list[psutil.Process]:
        """The processes that answer."""
        process = psutil.Process(self.process.pid)
        return process.children() or [process]

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.address, trust_env=False, timeout=30)

    def talk(self, *pieces: bytes, wait: float = 15, pause: float = 0.05) -> bytes:
        """All that is answered to these bytes until the endpoint closes, or has said nothing for a while."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as caller:
            for piece in pieces:
                time.sleep(pause)
                try:
                    caller.sendall(piece)
                except OSError:
                    break
            answered = b""
            try:
                while received := caller.recv(65_536):
                    answered += received
            except OSError:
                pass
            return answered

    def figure(self, name: str) -> float:
        """The value of one metric."""
        with self.client() as http:
            for line in http.get("/metrics").text.splitlines():
                if line.startswith(name + " "):
                    return float(line.split()[-1])
        raise AssertionError(f"There is no metric {name}")

    @cached_property
    def _model(self) -> Compiled:
        return compiled.load(self.built.bento.path / "src" / "model", usecases.contract_of(USE_CASE))

    def offline(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What the model answers in this process, without any endpoint."""
        contract = usecases.contract_of(USE_CASE)
        rows = [contract.request.model_validate(request) for request in requests]
        return verification.answers(contract, self._model, rows)

    def answers_right(self) -> None:
        """As it does for anybody who comes next."""
        requests = [EXAMPLE, EXAMPLE | {"Pclass": 3, "Sex": "male", "Age": None}, EXAMPLE | {"Age": 4.0}]
        expected = self.offline(requests)
        with self.client() as http:
            for request, answer in zip(requests, expected, strict=True):
                answered = http.post("/predict", json=request)
                assert answered.status_code == 200, answered.text
                assert answered.json() == answer | {"model_version": 1}
            batch = http.post("/predict_batch", json={"rows": requests}).json()["predictions"]
            # Kernels for many rows at once add in another order.
            assert [row["probability"] for row in batch] == pytest.approx(
                [row["probability"] for row in expected], rel=1e-9
            )


@contextmanager
def serving(built: Built, folder: Path, around: dict[str, str], *, port: int) -> Iterator[Live]:
    """The endpoint, once it is ready; killed afterwards."""
    log = folder / "endpoint.log"
    command = [sys.executable, "-m", "serving.process", str(built.bento.path)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=built.bento.path / "src",
            env=_environment() | {"HOME": str(folder), "BENTOML_HOME": str(folder / "bentoml")} | around,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    state = Path(around["MODELYARD_ENDPOINT_STATE"])
    live = Live(built, process, port, log, state)
    with process:
        try:
            deadline = time.monotonic() + 60
            with client.connect(live.address) as caller:
                while not caller.is_ready():
                    assert process.poll() is None, log.read_text()
                    assert time.monotonic() < deadline, log.read_text()
                    time.sleep(0.1)
            yield live
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def request(body: bytes, *headers: str, target: str = "/predict", method: str = "POST") -> bytes:
    """A request as bytes; without a Content-Length of one's own it has the right one."""
    lines = [f"{method} {target} HTTP/1.1", "Host: endpoint", "Content-Type: application/json", *headers]
    if not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def environment_of(home: Path, database: str) -> dict[str, str]:
    """What a release on this machine tells an endpoint of its surroundings."""
    from db.migrate import upgrade
    from releases.surroundings import surroundings
    from settings import Settings

    upgrade(database)
    return surroundings(Settings(home=home), database, USE_CASE)


__all__ = ["EXAMPLE", "Live", "environment_of", "request", "serving"]
