"""What a stack file may say: a name, and for each part its flavor and configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from errors import StackError, UsageError

FOLDER = Path(__file__).parent


class Component(BaseModel):
    """One part of a stack."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    flavor: str = Field(description="ZenML flavor of the part, such as `local` or `mlflow`.")
    configuration: dict[str, Any] = Field(
        default_factory=dict, description="The flavor's own settings; unknown ones are refused."
    )


class Stack(BaseModel):
    """Where pipelines run and where their results go."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=50)
    orchestrator: Component
    artifact_store: Component
    experiment_tracker: Component
    container_registry: Component | None = None
    image_builder: Component | None = None

    def components(self) -> dict[str, Component]:
        """The parts that the file names, by ZenML's name of their type."""
        parts = {name: getattr(self, name) for name in type(self).model_fields if name != "name"}
        return {name: part for name, part in parts.items() if part is not None}


def named(name: str) -> Path:
    """The file of a stack that comes with the project.

    Raises:
        UsageError: there is none of that name.
    """
    path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        there = ", ".join(sorted(path.stem for path in FOLDER.glob("*.yaml")))
        raise UsageError(f"There is no stack {name!r}; there are: {there}. Or `stack apply FILE` your own.")
    return path


def read(path: Path, values: Mapping[str, str]) -> Stack:
    """Read a stack file; `{key}` in a text is replaced by `values[key]`.

    Raises:
        StackError: the file cannot be read, is no YAML, or breaks the model; the message names the key.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise StackError(f"Cannot read the stack file {path}: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise StackError(f"The stack file {path} is no YAML: {error}") from error
    try:
        return Stack.model_validate(_fill(content, values))
    except ValidationError as error:
        lines = "\n".join(f"  {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise StackError(f"The stack file {path} is wrong in:\n{lines}") from error
    except KeyError as error:
        raise StackError(
            f"The stack file {path} uses the placeholder {{{error.args[0]}}}; "
            f"there are: {', '.join(f'{{{key}}}' for key in values)}."
        ) from error


def _fill(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return value.format_map(values)
    if isinstance(value, dict):
        return {key: _fill(inner, values) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill(inner, values) for inner in value]
    return value
