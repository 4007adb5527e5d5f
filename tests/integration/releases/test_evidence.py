"""What exactly is released, as a pod finds it out: by an MLflow server that has its artifacts in a bucket."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from db.recorded import Approval
from errors import GateNotPassed
from releases.approval import require
from releases.evidence import differences, evidence, look
from serving.model import trusted_types
from settings import PROJECT
from tests import s3 as tests_s3
from tests.integration.postgresql import servers
from tests.integration.releases.titanic import Built
from tracking import registry
from tracking.registry import Version

PASSWORD = "a password of the tests"
JUDGED = {"champion": None, "verdicts": [{"gate": "bound", "passed": True, "reason": "0.1, at most 0.2"}]}

# MLflow warns of types of its own when it is imported.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")]


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory, s3: str) -> Iterator[None]:
    """This process works with MLflow's server."""
    folder = tmp_path_factory.mktemp("tracking")
    with (
        servers.running(tmp_path_factory.mktemp("server")) as postgresql,
        pytest.MonkeyPatch.context() as here,
    ):
        port = servers.free_port()
        environment = tests_s3.environment(s3) | {
            "PATH": os.environ["PATH"],
            "MODELYARD_HOME": str(folder / "home"),
            "MODELYARD_DATABASE_URL": postgresql.url(),
            "MODELYARD_ARTIFACTS": tests_s3.make_bucket(s3),
            "MODELYARD_PASSWORD": PASSWORD,
            "MODELYARD_MLFLOW_PORT": str(port),
        }
        url = f"http://127.0.0.1:{port}"
        with (folder / "log").open("wb") as log:
            command = [sys.executable, "-m", "stacks.platform.mlflow_server"]
            process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=log, stderr=log)
        try:
            _until_ready(process, url, folder / "log")
            for name, value in (("URI", url), ("USERNAME", "default"), ("PASSWORD", PASSWORD)):
                here.setenv(f"MLFLOW_TRACKING_{name}", value)
            here.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
            yield
        finally:
            process.terminate()
            process.wait()


@pytest.fixture
def version(tracking: None, first: Built, request: pytest.FixtureRequest) -> Version:
    """A registered version that was judged."""
    import mlflow

    fingerprint = {"data": {"titanic.csv": "d" * 64}, "code": "c" * 64, "commit": "abc", "lock": "e" * 64}
    with mlflow.start_run():
        registered = registry.register(
            "titanic",
            first.content.model,
            first.content.examples,
            provenance={**first.content.provenance, "plan": {"fingerprint": fingerprint}},
            profile=first.content.profile,
            trusted_types=trusted_types(first.content.model),
            identity=str(request.node.name),
            description="",
        )
    assert registry.judgements(registered) == [], "of an old version nothing is on record"
    registry.add_judgement(registered, JUDGED)
    return registered


def test_it_is_the_same_each_time_and_says_all_that_a_release_is(version: Version) -> None:
    approval = _approval(version, registry.digest(version))
    made = evidence(version, [approval])
    assert made == {
        "model": registry.digest(version),
        "candidate": "logistic",
        "data": {"titanic.csv": "d" * 64},
        "code": "c" * 64,
        "commit": "abc",
        "lock": "e" * 64,
        "judgement": JUDGED,
        "approved_by": "someone@somewhere",
        "bento": None,
    }
    assert differences(made, look(version)) == []
    assert [
        line.split(":")[0] for line in differences({**made, "model": "f" * 64, "data": {}}, look(version))
    ] == [
        "model",
        "data",
    ]


def test_a_judgement_that_comes_later_takes_nothing_from_the_earlier_one(version: Version) -> None:
    made = evidence(version, [])
    registry.add_judgement(version, JUDGED)
    assert registry.judgements(version) == [JUDGED]
    registry.add_judgement(version, JUDGED | {"champion": 7})
    assert differences(made, look(version)) == []
    assert evidence(version, [])["judgement"]["champion"] == 7

    registry.attach(version, registry.JUDGEMENTS, "[]")
    (line,) = differences(made, look(version))
    assert line.startswith("judgement: what the gates said")


def test_an_approval_is_of_the_files_that_the_registry_has(version: Version) -> None:
    require(version, [_approval(version, registry.digest(version))], [])
    with pytest.raises(GateNotPassed, match="are not those that someone@somewhere approved on 2026-11-26"):
        require(version, [_approval(version, "f" * 64)], [])
    with pytest.raises(GateNotPassed, match=f"Version {version.number} of titanic was not approved"):
        require(version, [], [])


def _approval(version: Version, model: str) -> Approval:
    return Approval(
        id=1,
        use_case=version.name,
        model_version=version.number,
        model=model,
        note=None,
        approved_by="someone@somewhere",
        at=datetime(2026, 11, 26, tzinfo=UTC),
    )


def _until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/ready", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())
