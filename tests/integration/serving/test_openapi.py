"""What docs.json says is what the endpoint does: tried by schemathesis with requests of its own making."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.serving.live import Live

BIN = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
SECONDS = 60


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("st", path=BIN) is None, reason="schemathesis is not installed")
def test_the_document_holds(live: Live, tmp_path: Path) -> None:
    # To it 413 is no refusal; a body may be too large before it is looked at.
    expected = ["400", "401", "403", "404", "405", "408", "413", "415", "422", "503"]
    (tmp_path / "schemathesis.toml").write_text(
        f"[checks.negative_data_rejection]\nexpected-statuses = {json.dumps(expected)}\n"
    )
    before = len(live.log.read_bytes())
    command = [
        shutil.which("st", path=BIN) or "st",
        "run",
        f"{live.address}/docs.json",
        "--url",
        live.address,
    ]
    told = subprocess.run(
        [*command, "--checks", "all", "--max-time", str(SECONDS), "--seed", "1", "--continue-on-failure"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={
            "PATH": BIN,
            "HOME": str(tmp_path),
            "NO_COLOR": "1",
            "PYTHONPATH": str(Path(__file__).parent),
            "SCHEMATHESIS_HOOKS": "schemathesis_hooks",
        },
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "Traceback" not in live.log.read_bytes()[before:].decode()
    live.answers_right()
