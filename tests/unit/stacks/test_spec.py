from __future__ import annotations

from pathlib import Path

import pytest

from errors import StackError, UsageError
from stacks import spec

VALUES = {"home": "/data", "mlflow": "postgresql://host/mlflow"}


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "stack.yaml"
    path.write_text(text)
    return path


def test_the_local_stack_is_filled_in_from_the_settings() -> None:
    stack = spec.read(spec.named("local"), VALUES)
    assert stack.artifact_store.configuration == {"path": "/data/artifacts"}
    assert stack.experiment_tracker.configuration == {"tracking_uri": "postgresql://host/mlflow"}
    assert list(stack.components()) == ["orchestrator", "artifact_store", "experiment_tracker"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nflavour: local", "flavour: Extra inputs are not permitted"),
        ("name: x\norchestrator: {flavor: local, config: {}}", r"orchestrator\.config: Extra inputs"),
        ("name: Not Good", "name: String should match pattern"),
        ("name: [", "is no YAML"),
        ("just text", "valid dictionary or instance of Stack"),
        ("name: '{secret}'", r"placeholder \{secret\}; there are: \{home\}, \{mlflow\}"),
    ],
)
def test_a_wrong_stack_file_is_refused_and_the_message_names_the_place(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(StackError, match=message):
        spec.read(write(tmp_path, text), VALUES)


def test_a_missing_stack_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"Cannot read the stack file .*nowhere\.yaml"):
        spec.read(tmp_path / "nowhere.yaml", VALUES)


def test_an_unknown_stack_name_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match="there are: local"):
        spec.named("moon")
