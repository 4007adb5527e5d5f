"""Every notebook runs from its top to its end, on a home folder where nothing was before."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from notebooks.render import HERE, environment
from settings import PROJECT

pytest.importorskip("nbmake", reason="NO NOTEBOOK IS TESTED: nbmake is not installed; run make test")

SECONDS = 600
"""For a cell, on a machine that has much else to do."""


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    around = environment(tmp_path_factory.mktemp("home")) | {"MODELYARD_ENDPOINT_PORT": str(port)}
    around.pop("PGPASSWORD", None)
    yield around
    subprocess.run([sys.executable, "run.py", "stop"], check=True, cwd=PROJECT, env=around)


@pytest.mark.slow
@pytest.mark.parametrize("notebook", sorted(HERE.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs(notebook: Path, around: dict[str, str], tmp_path: Path) -> None:
    before = notebook.read_bytes()
    command = [sys.executable, "-m", "pytest", "--nbmake", f"--nbmake-timeout={SECONDS}", str(notebook)]
    ran = subprocess.run(
        [*command, "-q", "-c", "/dev/null", "--rootdir", str(tmp_path), "-p", "no:cacheprovider"],
        cwd=HERE,
        env=around,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout
    assert notebook.read_bytes() == before
