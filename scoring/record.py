"""How far a scoring is, as its output remembers it: what makes it possible to go on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from scoring.rows import Scored

CHUNK = 100_000
"""Rows that are read, scored and written at once, and the most that a part has."""


class Record(BaseModel):
    """A scoring, begun or finished."""

    model_config = ConfigDict(frozen=True)

    plan: dict[str, Any]
    """What was asked for; only a command that asks for the same goes on."""
    parts: int = 0
    rows: int = 0
    refused: int = 0
    position: list[Any] | None = None
    """Where in the input the next part begins; None: at its beginning."""
    finished: bool = False


class Chunk(NamedTuple):
    """Rows of the input, and where those after them begin."""

    rows: pa.Table
    position: list[Any]


class Source(Protocol):
    """Where rows come from, always in the same order."""

    as_text: bool
    """Whether its columns are texts that stand for values."""

    @property
    def columns(self) -> Sequence[str]: ...
    def mark(self) -> Mapping[str, Any]:
        """What tells this input from another one, as JSON values."""
        ...

    def chunks(self, position: list[Any] | None) -> Iterator[Chunk]: ...


class Target(Protocol):
    """Where rows go to: each part of them and the record of it at once, or neither."""

    def recorded(self) -> Record | None:
        """How far it is; None when it is new.

        Raises:
            UsageError: there is something else.
        """
        ...

    def begin(self, record: Record) -> None: ...
    def write(self, record: Record, scored: Scored) -> None:
        """Write the part that `record` has as its last."""
        ...

    def finish(self, record: Record) -> None: ...
