"""Rows on their way: tables of Arrow of bounded size, each with where it came from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import pyarrow as pa

ROWS = 250_000
"""Rows of a chunk of columns: some tens of megabytes."""
OBJECTS = 50_000
"""The same of rows that are Python's objects first, which take ten times the room."""


class Chunk(NamedTuple):
    """Some rows of a source."""

    origin: str
    """The file, table, query or URL."""
    columns: Sequence[str]
    """Everything that the source has there, also what is not read."""
    rows: pa.Table


def of_objects(origin: str, objects: Iterable[Mapping[str, Any]], size: int | None = None) -> Iterator[Chunk]:
    """Rows as JSON gives them, `size` at once; a column that some lack is null there."""
    waiting = iter(objects)
    while rows := list(islice(waiting, size or OBJECTS)):
        names = list(dict.fromkeys(name for row in rows for name in row))
        yield Chunk(origin, names, pa.table({name: array([row.get(name) for row in rows]) for name in names}))


def array(values: Sequence[Any]) -> pa.Array:
    """Values as they are when they are of one kind, else as texts: the door says which are wrong."""
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        return pa.array([value if value is None else _text(value) for value in values], pa.string())


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool | dict | list) else str(value)
