"""Both servers as pods have them: keys from outside, artifacts in a bucket, two of each at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from settings import PROJECT
from tests import s3 as s3_server
from tests.integration.postgresql import servers

SECONDS = 120
LOGIN = ("default", "a password of the tests")
KEYS = {"MODELYARD_ENCRYPTION_KEY": "e" * 64, "MODELYARD_SIGNING_KEY": "s" * 64}

pytestmark = pytest.mark.slow


@dataclass
class Server:
    """A server that runs."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def status(self, path: str) -> int:
        """How it answers there; 0 when it does not."""
        try:
            return httpx.get(f"{self.url}{path}", trust_env=False).status_code
        except httpx.TransportError:
            return 0


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    with servers.running(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="module")
def bucket_name(s3: str) -> str:
    return s3_server.make_bucket(s3).removeprefix("s3://")


@pytest.fixture(scope="module")
def environment(postgresql: servers.Server, s3: str, bucket_name: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "MODELYARD_DATABASE_URL": postgresql.url(),
        "MODELYARD_PLATFORM_HOST": "0.0.0.0",  # noqa: S104 - as in a pod
        "MODELYARD_PASSWORD": LOGIN[1],
        "MODELYARD_ARTIFACTS": f"s3://{bucket_name}",
        **KEYS,
        **s3_server.environment(s3),
    }


@pytest.fixture(scope="module")
def started(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """Two of ZenML's and two of MLflow's, all started at once where no table is yet."""
    modules = {"zenml_server": "DASHBOARD", "mlflow_server": "MLFLOW"}
    running: list[Server] = []
    for module, port_of in [*modules.items(), *modules.items()]:
        home, port = tmp_path_factory.mktemp(module), servers.free_port()
        own = {"MODELYARD_HOME": str(home), f"MODELYARD_{port_of}_PORT": str(port)}
        with (home / "log").open("wb") as log:
            command = [sys.executable, "-m", f"stacks.platform.{module}"]
            process = subprocess.Popen(command, cwd=PROJECT, env=environment | own, stdout=log, stderr=log)
        running.append(Server(process, f"http://127.0.0.1:{port}", home / "log"))
    try:
        _until(lambda: all(one.status("/ready") == 200 or one.process.poll() for one in running))
        yield running
    finally:
        for one in running:
            one.process.kill()
            one.process.wait()


@pytest.fixture(scope="module")
def zenml(started: list[Server]) -> list[Server]:
    return [started[0], started[2]]


@pytest.fixture(scope="module")
def mlflow(started: list[Server]) -> list[Server]:
    return [started[1], started[3]]


def test_all_four_come_up_by_themselves(started: list[Server]) -> None:
    assert [one.process.poll() for one in started] == [None] * 4, [one.log.read_text() for one in started]


def test_who_logs_in_at_one_is_known_to_the_other(zenml: list[Server]) -> None:
    data = {"username": LOGIN[0], "password": LOGIN[1]}
    token = httpx.post(f"{zenml[0].url}/api/v1/login", data=data).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    for one in zenml:
        assert httpx.get(f"{one.url}/api/v1/current-user", headers=headers).json()["name"] == "default"
    info = httpx.get(f"{zenml[0].url}/api/v1/info").json()
    assert info["deployment_type"] == "kubernetes"


def test_a_secret_that_one_keeps_the_other_reads(zenml: list[Server]) -> None:
    data = {"username": LOGIN[0], "password": LOGIN[1]}
    token = httpx.post(f"{zenml[0].url}/api/v1/login", data=data).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    secret = {"name": "kept", "private": False, "values": {"key": "naïve 東京"}}
    made = httpx.post(f"{zenml[0].url}/api/v1/secrets", json=secret, headers=headers).raise_for_status()
    read = httpx.get(f"{zenml[1].url}/api/v1/secrets/{made.json()['id']}", headers=headers)
    assert "naïve 東京" in read.text


def test_artifacts_go_through_mlflows_server_into_the_bucket_and_back(
    mlflow: list[Server], s3: str, bucket_name: str, tmp_path: Path
) -> None:
    (tmp_path / "model.bin").write_bytes(os.urandom(3_000_000))
    code = (
        "import sys, mlflow\n"
        "with mlflow.start_run() as run: mlflow.log_artifact(sys.argv[1])\n"
        "back = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path='model.bin')\n"
        "assert open(back, 'rb').read() == open(sys.argv[1], 'rb').read()\n"
        "print(run.info.artifact_uri)"
    )
    # A client that knows nothing of S3.
    client = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "MLFLOW_TRACKING_URI": mlflow[0].url,
        "MLFLOW_TRACKING_USERNAME": LOGIN[0],
        "MLFLOW_TRACKING_PASSWORD": LOGIN[1],
    }
    command = [sys.executable, "-c", code, str(tmp_path / "model.bin")]
    done = subprocess.run(command, env=client, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    place = done.stdout.strip().splitlines()[-1].removeprefix("mlflow-artifacts:/")
    found = s3_server.client(s3).head_object(Bucket=bucket_name, Key=f"mlflow/{place}/model.bin")
    assert found["ContentLength"] == 3_000_000


def test_nobody_is_sent_to_an_s3_server_that_only_this_cluster_knows(mlflow: list[Server]) -> None:
    told = httpx.get(f"{mlflow[0].url}/api/3.0/mlflow/server-info", auth=LOGIN).json()
    assert told["multipart_downloads_enabled"] is False
    assert told["multipart_uploads_enabled"] is False


def test_mlflow_is_used_by_any_name_and_by_nobody_without_the_login(mlflow: list[Server]) -> None:
    experiments = f"{mlflow[0].url}/api/2.0/mlflow/experiments/search?max_results=5"
    headers = {"Host": "modelyard-mlflow.modelyard.svc:5000"}
    assert httpx.get(experiments, headers=headers, auth=LOGIN).status_code == 200
    assert httpx.get(experiments, headers=headers).status_code == 401


def test_all_say_so_while_postgresql_is_away_and_live_on(
    started: list[Server], postgresql: servers.Server
) -> None:
    postgresql.stop("immediate")
    _until(lambda: all(one.status("/ready") == 503 for one in started))
    assert [one.status("/health") for one in started] == [200] * 4
    postgresql.start()
    _until(lambda: all(one.status("/ready") == 200 for one in started))


def test_no_secret_is_in_a_log_and_sigterm_ends_them(started: list[Server]) -> None:
    for one in started:
        one.process.send_signal(signal.SIGTERM)
    for one in started:
        assert one.process.wait(SECONDS) == -signal.SIGTERM
        said = one.log.read_text()
        assert "INFO uvicorn.error: Application startup complete." in said
        assert "Finished server process" in said
        assert not any(secret in said for secret in (LOGIN[1], *KEYS.values()))


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "It did not come true in time."
        time.sleep(0.2)
