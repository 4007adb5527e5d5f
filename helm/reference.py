"""What is written from the models of the values: values.yaml, values.schema.json, and the README's table.

`make docs` writes them (docs/generate.py).
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from helm.parts import Resources
from helm.values import Values

CHART = Path(__file__).parent / "modelyard"
_UNREAD = "global"
_TABLE = re.compile(r"(?<=<!-- values -->\n).*(?=<!-- end of values -->)", re.DOTALL)


class _Schema(GenerateJsonSchema):
    """Without the titles, which only repeat the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False

    def model_schema(self, schema: Any) -> dict[str, Any]:
        return {key: value for key, value in super().model_schema(schema).items() if key != "title"}


def files() -> dict[Path, str]:
    """File → content of all that is generated."""
    readme = CHART / "README.md"
    return {
        CHART / "values.yaml": values_yaml(),
        CHART / "values.schema.json": schema(),
        readme: _TABLE.sub(lambda _: table(), readme.read_text()),
    }


def values_yaml() -> str:
    """The defaults, each with what it sets."""
    head = (
        "# The defaults. Generated from helm/values.py by `make docs`; what else may be is in the README.\n"
    )
    return head + "\n".join(_lines(Values())) + "\n"


def schema() -> str:
    """What Helm checks values against."""
    content = Values.model_json_schema(schema_generator=_Schema)
    content = {"$schema": "https://json-schema.org/draft/2020-12/schema", **content}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def table() -> str:
    """Every key with its default, as Markdown."""
    rows = [f"| `{key}` | `{_inline(value)}` | {about} |" for key, value, about in _leaves(Values())]
    return "\n".join(["", "| key | default | what it sets |", "|---|---|---|", *rows, "", ""])


def _fields(model: BaseModel) -> Iterator[tuple[str, Any, str]]:
    """Key in YAML, value, description."""
    for name, field in type(model).model_fields.items():
        key = field.alias or name
        value = getattr(model, name)
        if isinstance(value, Resources):  # two lines of numbers, which explain themselves
            value = value.model_dump(exclude_none=True)
        if key != _UNREAD:
            yield key, value, field.description or ""


def _lines(model: BaseModel, indent: str = "") -> Iterator[str]:
    for key, value, about in _fields(model):
        yield from textwrap.wrap(about, 110, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
        if isinstance(value, BaseModel):
            yield f"{indent}{key}:"
            yield from _lines(value, f"{indent}  ")
        else:
            yield f"{indent}{key}: {_inline(value)}"


def _leaves(model: BaseModel, before: str = "") -> Iterator[tuple[str, Any, str]]:
    for key, value, about in _fields(model):
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value, about


def _inline(value: Any) -> str:
    """A value in one line of YAML, texts in quotes where YAML needs them."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
    return text.removesuffix("...\n").strip().replace("''", '""')
