"""Environments with another ZenML than this one's, made once and kept between test runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / ".environments"
# What uv says when nobody answers.
UNREACHED = ("error sending request", "dns error", "network was disabled")


def python_with(*requirements: str) -> str:
    """The Python of an environment with these packages; without a package index the test is skipped."""
    folder = FOLDER / "_".join(requirements)
    python, done = folder / "bin" / "python", folder / "installed"
    if done.exists():
        return str(python)
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        pytest.skip(f"There is no uv to install {' '.join(requirements)} with.")
    if folder.exists():
        shutil.rmtree(folder)
    _run(uv, "venv", "--quiet", "--python", sys.executable, str(folder))
    _run(uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), *requirements)
    done.touch()
    return str(python)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 and any(sign in done.stderr for sign in UNREACHED):
        pytest.skip(f"No package index was reached: {' '.join(command)}\n{done.stderr}")
    assert done.returncode == 0, done.stderr
