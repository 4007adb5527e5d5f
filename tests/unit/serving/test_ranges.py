"""What training saw, for every use case: its own rows are inside, and rows and columns are judged alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

import usecases
from serving.ranges import Ranges
from tests.problems import NAMES, answerable, documents, rows, valid
from training.profile import profile

each = pytest.mark.parametrize("name", NAMES)


def ranges(name: str, count: int) -> Ranges:
    """By the first rows of a use case."""
    case = usecases.load(name)
    seen = answerable(case, rows(name))[case.request_columns].iloc[:count]
    return Ranges(case.request, profile(seen, np.zeros(len(seen))))


def requests(name: str) -> list[BaseModel]:
    case = usecases.load(name)
    return valid(case, documents(case, answerable(case, rows(name))))


def columns(found: Sequence[BaseModel]) -> Mapping[str, Any]:
    """As `predict_columns` takes them: NaN stands for a missing number, None for a missing text."""

    def column(name: str) -> Any:
        values = [getattr(request, name) for request in found]
        if any(isinstance(value, str) for value in values):
            return np.array(values, dtype=object)
        return np.array([np.nan if value is None else value for value in values])

    return {name: column(name) for name in type(found[0]).model_fields}


@each
def test_no_row_of_the_training_is_outside_of_what_training_saw(name: str) -> None:
    seen, every = ranges(name, 10**9), requests(name)
    assert len(seen.fields) >= 5
    assert [position for request in every for position in seen.outside(request)] == []
    assert seen.outside_columns(columns(every)) == []


@each
def test_rows_and_columns_are_judged_alike_when_training_saw_few_of_them(name: str) -> None:
    seen, every = ranges(name, 20), requests(name)
    by_row = Counter(position for request in every for position in seen.outside(request))
    assert sum(by_row.values()) > 20
    assert dict(seen.outside_columns(columns(every))) == dict(by_row)
