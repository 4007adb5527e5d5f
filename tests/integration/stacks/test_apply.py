"""`run.py stack apply FILE`: each change in words, nothing the second time, nothing unknown let through."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from db import embedded

PROJECT = Path(__file__).parents[3]
LOCAL = PROJECT / "stacks" / "local.yaml"


@pytest.fixture
def content() -> dict[str, Any]:
    """The bundled local stack under a name that no other test uses."""
    content: dict[str, Any] = yaml.safe_load(LOCAL.read_text())
    return content | {"name": f"stack-{secrets.token_hex(4)}"}


def test_the_second_time_nothing_changes_and_a_changed_file_prints_its_change(
    home: Path, server: embedded.Server, tmp_path: Path, content: dict[str, Any]
) -> None:
    name = content["name"]

    first = _apply(home, _written(tmp_path, content))
    assert first.returncode == 0, first.stderr
    for words in ("orchestrator: registered", "artifact_store: registered", f"stack: registered {name}"):
        assert words in first.stdout

    second = _apply(home, _written(tmp_path, content))
    assert second.returncode == 0, second.stderr
    assert "Nothing changed" in second.stdout

    elsewhere = str(tmp_path / "elsewhere")
    content["artifact_store"]["configuration"]["path"] = elsewhere
    third = _apply(home, _written(tmp_path, content), "--json")
    assert third.returncode == 0, third.stderr
    assert json.loads(third.stdout)["changes"] == [f"artifact_store: changed {name}-local (path={elsewhere})"]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"orchestrators": {"flavor": "local"}}, ["orchestrators"]),
        ({"orchestrator": {"flavor": "kubernots"}}, ["orchestrator", "kubernots", "kubernetes"]),
        (
            {"artifact_store": {"flavor": "local", "configuration": {"paht": "x"}}},
            ["artifact_store", "paht", "path"],
        ),
    ],
    ids=["key", "flavor", "setting"],
)
def test_what_zenml_would_ignore_is_refused_by_name(
    home: Path,
    server: embedded.Server,
    tmp_path: Path,
    content: dict[str, Any],
    wrong: dict[str, Any],
    named: list[str],
) -> None:
    refused = _apply(home, _written(tmp_path, content | wrong))

    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "Traceback" not in refused.stderr
    for word in named:
        assert word in refused.stderr


def test_the_applied_stack_is_shown_as_one_json_document(home: Path, server: embedded.Server) -> None:
    applied = _apply(home, LOCAL)
    assert applied.returncode == 0, applied.stderr

    shown = _run(home, "stack", "show", "--json")

    assert shown.returncode == 0, shown.stderr
    document = json.loads(shown.stdout)
    assert document["stack"] == "local"
    assert {part: about["flavor"] for part, about in document["parts"].items()} == {
        "orchestrator": "local",
        "artifact_store": "local",
        "experiment_tracker": "mlflow",
    }
    assert server.password.get_secret_value() not in shown.stdout


def _written(folder: Path, content: dict[str, Any]) -> Path:
    file = folder / "stack.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def _apply(home: Path, file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return _run(home, "stack", "apply", str(file), *options)


def _run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PROJECT / "run.py"), *arguments],
        env=os.environ | {"MODELYARD_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
