"""Arithmetic that is written once and runs over the columns of a batch or over the values of one request.

A use case's features are a function of (arithmetic, values). With `MANY` values are numpy arrays, and a table
of rows costs one call; with `ONE` they are Python's own numbers, and a single request costs microseconds
instead of the milliseconds that a frame of one row takes. Both are IEEE 754 doubles and 64-bit integers, so
both give the same bits. Operators work for both alike: + - * // == < and so on; `/` only where the divisor
cannot be 0.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Value = Any
"""A column, or the value of one request."""


@dataclass(frozen=True)
class Lookup:
    """A table of learnt numbers by a whole number, and what holds for numbers that were not learnt."""

    keys: npt.NDArray[np.int64]
    """Ascending; shape (n,)."""
    values: npt.NDArray[np.float64]
    """Shape (n + 1, m); the last row is for every other key."""


Tables = Mapping[str, "Lookup | Array"]
"""What a model has learnt beside its estimator, by name."""


class Arithmetic(Protocol):
    """What operators don't have."""

    def tables(self, learnt: Tables) -> Mapping[str, Any]:
        """`learnt` in the form that `lookup`, `row`, `cell` and `take` are quick with."""

    def number(self, value: Value) -> Value:
        """As a float: None becomes NaN, False 0 and True 1."""

    def whole(self, value: Value) -> Value:
        """A whole number, 64 bits wide."""

    def minimum(self, a: Value, b: Value) -> Value: ...
    def maximum(self, a: Value, b: Value) -> Value: ...
    def hour(self, time: Value) -> Value: ...
    def minute(self, time: Value) -> Value: ...
    def weekday(self, time: Value) -> Value:
        """0 for Monday."""

    def band(self, edges: Sequence[float], value: Value) -> Value:
        """Index of the first of the ascending `edges` that is not below `value`."""

    def take(self, table: Any, index: Value) -> Value:
        """Number at `index` of a table of one dimension."""

    def row(self, table: Any, index: Value) -> Sequence[Value]:
        """Numbers in the row at `index` of a table of two dimensions."""

    def cell(self, table: Any, row: Value, column: Value) -> Value:
        """Number in a table of two dimensions."""

    def lookup(self, table: Any, key: Value) -> Sequence[Value]:
        """The m numbers of `key` in a `Lookup`."""


class Many:
    """Over numpy arrays, one element a row."""

    def tables(self, learnt: Tables) -> Mapping[str, Any]:
        return learnt

    def number(self, value: Value) -> Value:
        return np.asarray(value, dtype=np.float64)

    def whole(self, value: Value) -> Value:
        return np.asarray(value, dtype=np.int64)

    def minimum(self, a: Value, b: Value) -> Value:
        return np.minimum(a, b)

    def maximum(self, a: Value, b: Value) -> Value:
        return np.maximum(a, b)

    def hour(self, time: Value) -> Value:
        return _minutes(time) // 60 % 24

    def minute(self, time: Value) -> Value:
        return _minutes(time) % 60

    def weekday(self, time: Value) -> Value:
        # 1970 began on a Thursday.
        return (_minutes(time) // 1440 + 3) % 7

    def band(self, edges: Sequence[float], value: Value) -> Value:
        return np.searchsorted(edges, value)

    def take(self, table: Any, index: Value) -> Value:
        return np.asarray(table)[index]

    def row(self, table: Any, index: Value) -> Sequence[Value]:
        return tuple(table[index].T)

    def cell(self, table: Any, row: Value, column: Value) -> Value:
        return table[row, column]

    def lookup(self, table: Any, key: Value) -> Sequence[Value]:
        count = len(table.keys)
        at = np.minimum(np.searchsorted(table.keys, key), count - 1)
        return tuple(table.values[np.where(table.keys[at] == key, at, count)].T)


class One:
    """Over the values of one request."""

    def tables(self, learnt: Tables) -> Mapping[str, Any]:
        return {name: _quick(table) for name, table in learnt.items()}

    def number(self, value: Value) -> Value:
        return float("nan") if value is None else float(value)

    def whole(self, value: Value) -> Value:
        return value

    # NaN wins, as it does in numpy.
    def minimum(self, a: Value, b: Value) -> Value:
        return a if a <= b or a != a else b

    def maximum(self, a: Value, b: Value) -> Value:
        return a if a >= b or a != a else b

    def hour(self, time: datetime) -> int:
        return time.hour

    def minute(self, time: datetime) -> int:
        return time.minute

    def weekday(self, time: datetime) -> int:
        return time.weekday()

    def band(self, edges: Sequence[float], value: Value) -> Value:
        return bisect_left(edges, value)

    def take(self, table: Any, index: Value) -> Value:
        return table[index]

    def row(self, table: Any, index: Value) -> Sequence[Value]:
        numbers: Sequence[Value] = table[index]
        return numbers

    def cell(self, table: Any, row: Value, column: Value) -> Value:
        return table[row][column]

    def lookup(self, table: Any, key: Value) -> Sequence[Value]:
        known, unknown = table
        numbers: Sequence[Value] = known.get(key, unknown)
        return numbers


MANY = Many()
ONE = One()


def _minutes(time: Array) -> npt.NDArray[np.int64]:
    """Since 1970."""
    return time.astype("datetime64[m]").astype(np.int64)


def _quick(table: Lookup | Array) -> Any:
    if isinstance(table, Lookup):
        *known, unknown = map(tuple, table.values.tolist())
        return dict(zip(table.keys.tolist(), known, strict=True)), unknown
    return table.tolist()
