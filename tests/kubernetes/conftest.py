"""One platform for all tests of pipelines; whoever installs, upgrades or breaks it takes one of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from releases.kubernetes.place import Place, place_of
from settings import Settings
from tests.integration.command_line import CommandLine
from tests.kubernetes.cluster import SUBMITTERS, Platform, installed


@pytest.fixture(scope="session", autouse=True)
def _a_cluster() -> None:
    for program in ("kubectl", "helm"):
        if shutil.which(program) is None:
            pytest.skip(f"no `{program}` on PATH, so nothing was tested on Kubernetes")
    if "MODELYARD_TEST_IMAGE" not in os.environ:
        pytest.skip("nobody says which image to test (MODELYARD_TEST_IMAGE): run `make test-kubernetes`")
    version = ["kubectl", "version"]
    answer = subprocess.run(version, capture_output=True, text=True, check=False)
    if answer.returncode:
        pytest.skip(f"no cluster answers, so nothing was tested on Kubernetes: {answer.stderr.strip()}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """A run that has to end by a time leaves out, loudly, what it would begin too late."""
    until = os.environ.get("MODELYARD_TEST_UNTIL")
    if until and time.time() > int(until):
        pytest.skip(f"it is later than MODELYARD_TEST_UNTIL ({until}), so this was NOT tested")


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print a figure that people want to see of a test that passed, too."""

    def printed(line: str) -> None:
        with capsys.disabled():
            print(f"\n  {line}")

    return printed


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """The platform with the chart's defaults, and with somebody who may submit pipelines."""
    with installed("--set=submitters[0].kind=Group", f"--set=submitters[0].name={SUBMITTERS}") as found:
        yield found


@pytest.fixture(scope="session")
def place(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Where `python run.py --stack kubernetes release` releases to."""
    return place_of(Settings(home=tmp_path_factory.mktemp("home"), kube_namespace=platform.namespace))


@pytest.fixture(scope="session")
def run(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """`python run.py …` on it."""
    return platform.command_line(tmp_path_factory.mktemp("laptop"))


@pytest.fixture(scope="session")
def months() -> Path:
    """Real months of green taxi trips."""
    folder = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "green"
    if not folder.is_dir():
        pytest.skip("the published months are not at hand, so a training on them was not tested")
    return folder
