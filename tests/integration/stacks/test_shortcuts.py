"""ZenML imported with shortcuts is the same ZenML."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from settings import PROJECT

_SCHEMAS = """
import inspect, json, sys
import pydantic

def described(model):
    try:
        return model.model_json_schema()
    except (pydantic.errors.PydanticInvalidForJsonSchema, pydantic.PydanticUserError) as error:
        return type(error).__name__  # some are bases that ZenML never completes

{imported}
import zenml.models, zenml.config
found = {{**vars(zenml.models), **vars(zenml.config)}}
models = {{name: model for name, model in found.items() if inspect.isclass(model)
          and issubclass(model, pydantic.BaseModel)}}
json.dump({{name: described(model) for name, model in models.items()}}, sys.stdout)
"""
_SHORT = "from stacks.shortcuts import import_zenml; import_zenml()"


@pytest.fixture(scope="module")
def schemas() -> dict[str, dict[str, Any]]:
    """How imported → model's name → its JSON schema."""
    return {name: _schemas(imported) for name, imported in {"plain": "import zenml", "short": _SHORT}.items()}


def test_every_model_of_zenml_has_the_same_fields_and_rules(schemas: dict[str, dict[str, Any]]) -> None:
    complete = {name: schema for name, schema in schemas["plain"].items() if schema != "PydanticUserError"}
    assert len(complete) > 250
    assert {name: schemas["short"][name] for name in complete} == complete


def test_models_of_others_are_compiled_as_ever() -> None:
    code = (
        f"{_SHORT}; import pydantic\nclass A(pydantic.BaseModel):\n  x: int\nprint(A.__pydantic_complete__)"
    )
    assert _run(code) == "True\n"


def _schemas(imported: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_run(_SCHEMAS.format(imported=imported)))
    return found


def _run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
