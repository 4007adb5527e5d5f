"""MLflow's server of a platform as a process, with the platform's records beside MLflow."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from settings import PROJECT
from tests.integration.postgresql import servers

SECONDS = 120
LOGIN = ("default", "a password of the tests")


@contextmanager
def running(database: str, home: Path, **settings: str) -> Iterator[str]:
    """Its URL, once it is ready; `database` is that of a server, `settings` are further variables."""
    port = servers.free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "MODELYARD_HOME": str(home),
        "MODELYARD_DATABASE_URL": database,
        "MODELYARD_PASSWORD": LOGIN[1],
        "MODELYARD_MLFLOW_PORT": str(port),
    } | settings
    url = f"http://127.0.0.1:{port}"
    with (home / "log").open("wb") as log:
        command = [sys.executable, "-m", "stacks.platform.mlflow_server"]
        process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=log, stderr=log)
    try:
        _until(lambda: process.poll() is not None or status(f"{url}/ready") == 200)
        assert process.poll() is None, (home / "log").read_text()
        yield url
    finally:
        process.terminate()
        process.wait()


def status(url: str) -> int:
    """How it answers there; 0 when it does not."""
    try:
        return httpx.get(url, trust_env=False).status_code
    except httpx.TransportError:
        return 0


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "It did not come true in time."
        time.sleep(0.2)
