"""Questions: a text that is the same for every store, and a call that answers it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Question = tuple[str, Callable[[], Any]]
Filter = dict[str, Any]

TEXT_OPERATORS = ["equals", "notequals", "contains", "notcontains", "startswith", "endswith"]
LIST_OPERATORS = ["oneof", "notoneof"]
ORDER_OPERATORS = ["gt", "gte", "lt", "lte"]
NULL_OPERATORS = ["isnull", "isnotnull"]


class Hidden(str):
    """A value that differs between two databases, shown in a question's text by a name of its own."""

    __slots__ = ("shown",)

    def __repr__(self) -> str:
        return self.shown


def each(
    column: str, operators: Iterable[str], values: list[str], *, before: str = "", shown: str = ""
) -> Iterator[Filter]:
    """Every operator with every value; those that take a list get all values, those that take none one."""
    for operator in operators:
        if operator in NULL_OPERATORS:
            asked = [""]
        elif operator in LIST_OPERATORS:
            asked = [json.dumps(values)]
        else:
            asked = values
        for value in asked:
            text = Hidden(f"{before}{operator}:{value}")
            text.shown = repr(f"{before}{operator}:{shown or value}")
            yield {column: text}


def texts(column: str, values: list[str], numbers: Iterable[str] = ()) -> Iterator[Filter]:
    """Every operator that a text column takes."""
    yield from each(column, [*TEXT_OPERATORS, *LIST_OPERATORS, *NULL_OPERATORS], values)
    yield from each(column, ORDER_OPERATORS, list(numbers))


def listed(find: Callable[..., Any], filter_: Filter) -> Callable[[], Any]:
    """How many there are, and what they are called in the order of their creation."""

    def ask() -> Any:
        page = find(**{"size": 1000, "sort_by": "asc:created"} | filter_)
        return [page.total, [name_of(item) for item in page]]

    return ask


def name_of(item: Any) -> str:
    """What a person would call it; steps and versions of different parents are told apart."""
    if hasattr(item, "artifact") and hasattr(item, "version"):
        return f"{item.artifact.name} {item.version}"
    return str(item.name)
