"""What training saw of each request field, and whether a value lies outside of it.

Of moments nothing is said: each lies after the training data, as it should.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import ceil, floor
from typing import Any, get_args

import numpy as np
from pydantic import BaseModel


class Ranges:
    """The ranges of a request's fields, by the profile of the rows that the model was trained on."""

    def __init__(self, request: type[BaseModel], profile: Mapping[str, Any]) -> None:
        """Take what `training.profile` wrote down; fields that it cannot tell about are not checked."""
        self._bounds: list[tuple[str, int, float, float, bool]] = []
        self._sets: list[tuple[str, int, frozenset[Any], bool]] = []
        names: list[str] = []
        for name, field in request.model_fields.items():
            column = profile.get("columns", {}).get(name)
            seen = _seen(set(get_args(field.annotation) or [field.annotation]), column, profile)
            if seen is None:
                continue
            missing = column["missing"] > 0
            if isinstance(seen, tuple):
                self._bounds.append((name, len(names), *seen, missing))
            else:
                self._sets.append((name, len(names), seen | {None} if missing else seen, missing))
            names.append(name)
        self.fields = tuple(names)
        """Those that are checked."""

    def outside(self, request: BaseModel) -> list[int]:
        """Positions in `fields` of those whose values training did not see."""
        values = request.__dict__
        found = []
        for name, position, low, high, missing in self._bounds:
            value = values[name]
            if not missing if value is None else not low <= value <= high:
                found.append(position)
        for name, position, seen, _ in self._sets:
            if values[name] not in seen:
                found.append(position)
        return found

    def outside_columns(self, columns: Mapping[str, Any]) -> list[tuple[int, int]]:
        """Positions in `fields` of those with values that training did not see, and how many."""
        found = []
        for name, position, low, high, missing in self._bounds:
            column = columns[name]
            outside = int(np.count_nonzero((column < low) | (column > high)))
            found.append((position, outside + (0 if missing else _nulls(column))))
        for name, position, seen, missing in self._sets:
            column = columns[name]
            if column.dtype == object:
                outside = sum(value not in seen for value in column.tolist())
            else:
                known = np.isin(column, [value for value in seen if value is not None])
                outside = len(column) - int(np.count_nonzero(known)) - (_nulls(column) if missing else 0)
            found.append((position, outside))
        return [(position, count) for position, count in found if count]


def _seen(
    kinds: set[Any], column: Mapping[str, Any] | None, profile: Mapping[str, Any]
) -> tuple[float, float] | frozenset[Any] | None:
    """Bounds, or the values themselves; None: the profile cannot tell."""
    if column is None:
        return None
    if "quantiles" in column:
        return _bounds(kinds, column["quantiles"].values())
    counts = column["counts"]
    # Of a column with very many values the profile has but the most frequent ones.
    if sum(counts.values()) + column["missing"] < profile["rows"]:
        return None
    if float in kinds:
        return _bounds(kinds, [float(value) for value in counts]) if counts else None
    if int in kinds:
        return frozenset(int(float(value)) for value in counts)
    if bool in kinds:
        return frozenset(value == "True" for value in counts)
    texts = {inner for kind in kinds for inner in get_args(kind) or (kind,)} - {type(None), None}
    return frozenset(counts) if all(kind is str or isinstance(kind, str) for kind in texts) else None


def _bounds(kinds: set[Any], values: Collection[float]) -> tuple[float, float] | None:
    if float in kinds:
        return min(values), max(values)
    # Whole numbers compare with whole numbers in half the time.
    return (ceil(min(values)), floor(max(values))) if int in kinds else None


def _nulls(column: Any) -> int:
    return int(np.count_nonzero(column != column)) if column.dtype.kind == "f" else 0
