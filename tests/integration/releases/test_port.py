"""A Bento served the way pods serve it: at a port, by one process that ends gently."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import usecases
from serving import client
from tests.integration.releases.titanic import Built


@pytest.fixture
def endpoint(first: Built, free_port: int, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        _command(first, "--host", "127.0.0.1", "--port", str(free_port)),
        cwd=first.bento.path / "src",
        env=os.environ | {"HOME": str(tmp_path), "BENTOML_HOME": str(tmp_path / "bentoml")},
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def http(endpoint: subprocess.Popen[str], free_port: int) -> Iterator[httpx.Client]:
    address = f"http://127.0.0.1:{free_port}"
    deadline = time.monotonic() + 60
    with client.connect(address) as caller:
        while not caller.is_ready():
            assert endpoint.poll() is None, endpoint.stderr and endpoint.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.1)
    with httpx.Client(base_url=address, trust_env=False) as connected:
        yield connected


def _command(built: Built, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "serving.process", str(built.bento.path), *arguments]


def test_it_counts_its_own_routes_by_status_for_prometheus(http: httpx.Client) -> None:
    example = dict(usecases.load("titanic").example)
    assert http.post("/predict", json=example).status_code == 200
    assert http.post("/predict", json=example).status_code == 200
    assert http.post("/predict", json={}).status_code == 422
    figures = http.get("/metrics").text
    for status, count in ((200, 2), (422, 1)):
        assert f'modelyard_requests_total{{route="predict",status="{status}"}} {count}.0\n' in figures
    assert 'modelyard_request_duration_seconds_count{route="predict"} 3.0\n' in figures


def test_paths_that_it_does_not_have_are_refused_without_being_counted(http: httpx.Client) -> None:
    refused = http.get("/no-such-path")
    assert refused.status_code == 404
    assert refused.json()["title"] == "Not Found"
    assert http.get("/no-such-path", headers={"Upgrade": "websocket"}).status_code == 404
    assert "no-such-path" not in http.get("/metrics").text
    page = http.get("/docs").text
    files = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert len(files) == 2
    for path in [*files, "", "docs.json", "model", "livez", "readyz", "healthz"]:
        assert http.get(f"/{path}").status_code == 200, path


def test_told_to_end_it_lets_clients_go_takes_no_more_and_ends_with_0(
    endpoint: subprocess.Popen[str], http: httpx.Client
) -> None:
    assert "connection" not in http.get("/readyz").headers
    endpoint.terminate()
    deadline = time.monotonic() + 10
    while _takes_connections(http.base_url):
        assert time.monotonic() < deadline
    answer = http.post("/predict", json=dict(usecases.load("titanic").example))
    assert answer.status_code == 200
    assert answer.headers["connection"] == "close"
    assert endpoint.wait(10) == 0


def _takes_connections(address: httpx.URL) -> bool:
    try:
        return httpx.get(address.join("/livez"), trust_env=False).status_code == 200
    except httpx.ConnectError:
        return False


def test_sockets_of_a_release_and_a_port_at_once_make_no_sense(first: Built) -> None:
    for arguments in ([], ["--port", "3000", "--private", "3"], ["--private", "3", "--release", "4"]):
        told = subprocess.run(_command(first, *arguments), capture_output=True, text=True, check=False)
        assert told.returncode == 2
        assert "give --port, or --listen, or --private, --release and --lend" in told.stderr
