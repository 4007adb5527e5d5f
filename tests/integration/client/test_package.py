"""The client as others install it, and its models beside what endpoints take."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from client import generate
from settings import PROJECT
from tests.integration.serving.live import Live

ASK = """
import sys
from datetime import datetime
from modelyard_client import Client
from modelyard_client.models import taxi

with Client(sys.argv[1], taxi.USE_CASE) as client:
    trip = taxi.TripRequest(
        PULocationID=74, DOLocationID=236, lpep_pickup_datetime=datetime(2024, 2, 14), trip_distance=3.1
    )
    print(client.predict(trip).prediction.duration_minutes)
"""
WRONG = """
from datetime import datetime
from modelyard_client import Client
from modelyard_client.models import taxi

with Client("http://127.0.0.1:3000", taxi.USE_CASE) as client:
    trip = taxi.TripRequest(
        PULocationID=74, DOLocationID=236, lpep_pickup_datetime=datetime(2024, 2, 14), trip_distance=3.1
    )
    right: float = client.predict(trip).prediction.duration_minutes
    wrong: str = client.predict(trip).prediction.duration_minutes
    client.predict({"PULocationID": 74})
"""


def test_the_models_are_what_the_endpoints_documents_say() -> None:
    written = generate.modules()
    there = [path for path in generate.MODELS.glob("*.py") if path.name != "__init__.py"]
    assert {"endpoint", "taxi", "titanic"} <= {path.stem for path in there}
    for path in there:
        assert path.read_text() == written[path], "run: make client"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment that has the client, and what that asks for, alone."""
    folder = tmp_path_factory.mktemp("application")
    uv = str(Path(sys.executable).with_name("uv"))
    python = folder / "venv" / "bin" / "python"
    # Building leaves nothing in the clone.
    source = shutil.copytree(
        PROJECT / "client", folder / "client", ignore=shutil.ignore_patterns("__pycache__")
    )
    for command in (
        ["venv", "--quiet", "--python", sys.executable, str(folder / "venv")],
        ["pip", "install", "--quiet", "--python", str(python), str(source)],
    ):
        done = subprocess.run([uv, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return python


def test_it_works_in_an_environment_that_has_nothing_else_of_the_project(installed: Path, live: Live) -> None:
    asked = subprocess.run(
        [str(installed), "-I", "-c", ASK, live.address],
        capture_output=True,
        text=True,
        check=False,
        cwd=installed.parent,
    )
    assert asked.returncode == 0, asked.stderr
    assert 1 < float(asked.stdout) < 100


def test_applications_are_checked_against_its_types(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "application.py").write_text(WRONG)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(installed), "application.py"]
    told = subprocess.run(mypy, capture_output=True, text=True, check=False, cwd=tmp_path)
    problems = [line.split(": ")[0] for line in told.stdout.splitlines() if ": error:" in line]
    assert problems == ["application.py:11", "application.py:12"], told.stdout
