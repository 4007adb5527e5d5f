"""A look at a source before anything of it is loaded."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import DataError
from ingestion.chunks import Chunk
from ingestion.door import Door
from ingestion.reading import reading

if TYPE_CHECKING:
    from ingestion.spec import Named
    from usecases.base import UseCase

ROWS = 100


def check(case: UseCase, named: Named) -> dict[str, Any]:
    """How each column of the use case is filled, and which of the first rows the contract rejects.

    Raises:
        DataError: the source cannot be read, has no rows, or is rejected as a whole.
    """
    door = Door(case, named.source)
    since = named.cursor.initial if named.cursor else None
    with tempfile.TemporaryDirectory() as scratch:
        found = next(reading(named, door, Path(scratch), ROWS).chunks({}, since), None)
    if found is None:
        raise DataError(f"The source {named.name} has no rows.")
    chunk = Chunk(found.origin, found.columns, found.rows.slice(0, ROWS))
    passed = door(chunk)
    return {
        "origin": chunk.origin,
        "rows": len(chunk.rows),
        "columns": [
            {
                "column": field.name,
                "from": door.columns[field.name],
                "comes_as": _type(chunk, door.columns[field.name]),
                "becomes": str(field.type),
            }
            for field in door.schema
        ],
        "left_out": [name for name in chunk.columns if name not in set(door.columns.values())],
        "rejected": [{"reason": row["reason"], "row": row["row"]} for row in passed.rejected.to_pylist()],
    }


def _type(chunk: Chunk, name: str) -> str:
    return str(chunk.rows.schema.field(name).type) if name in chunk.rows.column_names else "missing"
