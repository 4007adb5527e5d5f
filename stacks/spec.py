"""What a stack file may say: a name, and for each part its flavor and configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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


Platform = Literal["local", "kubernetes"]


class Stack(BaseModel):
    """Where pipelines run and where their results go."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=50)
    platform: Platform = Field(
        default="local",
        description="Who keeps the metadata: this machine's PostgreSQL, or the chart's in a cluster.",
    )
    orchestrator: Component
    artifact_store: Component
    experiment_tracker: Component
    container_registry: Component | None = None
    image_builder: Component | None = None

    def components(self) -> dict[str, Component]:
        """The parts that the file names, by ZenML's name of their type."""
        parts = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: part for name, part in parts.items() if isinstance(part, Component)}


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


@dataclass(frozen=True)
class Draft:
    """A stack file whose placeholders are not filled in yet."""

    path: Path
    content: Any

    @property
    def platform(self) -> str:
        """What `fill` has to bring values of."""
        named = self.content.get("platform") if isinstance(self.content, dict) else None
        return str(named or "local")


def read(path: Path) -> Draft:
    """Read a stack file.

    Raises:
        StackError: the file cannot be read, or is no YAML.
    """
    try:
        return Draft(path, yaml.safe_load(path.read_text()))
    except OSError as error:
        raise StackError(f"Cannot read the stack file {path}: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise StackError(f"The stack file {path} is no YAML: {error}") from error


def fill(draft: Draft, values: Mapping[str, str]) -> Stack:
    """The stack; `{key}` in a text is replaced by `values[key]`.

    Environment variables that have no value then, or that are to come from no Secret, are left out.

    Raises:
        StackError: the file breaks the model; the message names the key.
    """
    try:
        return Stack.model_validate(_fill(draft.content, values))
    except ValidationError as error:
        lines = "\n".join(f"  {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise StackError(f"The stack file {draft.path} is wrong in:\n{lines}") from error
    except KeyError as error:
        raise StackError(
            f"The stack file {draft.path} uses the placeholder {{{error.args[0]}}}; "
            f"there are: {', '.join(f'{{{key}}}' for key in values)}."
        ) from error


def _fill(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return value.format_map(values)
    if isinstance(value, dict):
        return {key: _fill(inner, values) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled for inner in value if not _empty(filled := _fill(inner, values))]
    return value


def _empty(item: Any) -> bool:
    """An environment variable that would have no value."""
    if not isinstance(item, dict):
        return False
    secret = item.get("valueFrom", {}).get("secretKeyRef", {})
    return item.get("value") == "" or secret.get("name") == ""
