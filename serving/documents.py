"""Rows of columns as JSON documents, as the prediction log keeps them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from serving.columns import Array, Column


def documents(rules: Sequence[Column], columns: Mapping[str, Array]) -> list[bytes]:
    """One JSON object a row, in the fields' order: what a request with the row's values would hold."""
    template = "{" + ",".join(f"{json.dumps(rule.name)}:%s".replace("%s", "\0") for rule in rules) + "}"
    template = template.replace("%", "%%").replace("\0", "%s")
    texts = [_texts(rule, columns[rule.name]) for rule in rules]
    return [(template % row).encode() for row in zip(*texts, strict=True)]


def _texts(rule: Column, values: Array) -> list[str]:
    """Each value as JSON."""
    if values.dtype.kind == "M":
        return [f'"{text}"' for text in np.datetime_as_string(values).tolist()]
    if values.dtype.kind == "f":
        return [_number(rule, value) for value in values.tolist()]
    if values.dtype.kind == "i":
        return list(map(str, values.tolist()))
    return [json.dumps(value) for value in values.tolist()]


def _number(rule: Column, value: float) -> str:
    if value != value:
        return "null"
    return str(int(value)) if rule.kind == "int" else repr(value)
