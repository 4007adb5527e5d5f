"""Every list that ZenML's client has, asked by every filter and sorted by every key that it takes.

Nothing here names a list, a filter or a key: they are read off the client, so those that a later ZenML adds
are asked too. What cannot be asked is named, with its reason.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import groupby
from typing import Any
from uuid import UUID

from asking import Question
from zenml import client as client_module
from zenml.client import Client
from zenml.models.v2.base.filter import BaseFilter, FilterGenerator

NOT_ASKED = {
    "list_resource_requests": "pools of resources are not in the open ZenML",
    "list_service_connector_resources": "asks the clouds themselves",
    "list_service_connector_types": "lists classes that are installed, not rows",
}
# What a list cannot be asked without.
NEEDED: dict[str, Callable[[Client], dict[str, Any]]] = {
    "list_api_keys": lambda _: {"service_account_name_id_or_prefix": "trainer"},
    "list_secrets_by_private_status": lambda _: {"private": True},
    "list_snapshot_triggers": lambda client: {"snapshot_id": client.get_snapshot("built").id},
}
NO_FILTER = {
    "sort_by",
    "page",
    "size",
    "logical_operator",
    "hydrate",
    "expand_secrets",
    "include_full_metadata",
}
ASKED_ELSEWHERE = {"run_metadata"}
# Columns of nearly every table, read by the same code: two questions do.
EVERYWHERE = {"id", "created", "updated", "user", "project"}
UNSORTED = {"list_service_connectors": "ZenML reads it in whatever order the database has it"}
# What the orchestrator, the file system and caches make up.
RANDOM = {"orchestrator_run_id", "cache_key", "uri", "display_name"}


@dataclass(frozen=True)
class Listing:
    """A list of the client, and the model of its filters when there is one."""

    name: str
    find: Callable[..., Any]
    parameters: tuple[str, ...]
    filters: type[BaseFilter] | None


def all_lists(client: Client) -> Iterator[Listing]:
    """Each `list_` method, bound to this client and to what it cannot be asked without."""
    for name, method in inspect.getmembers(Client, inspect.isfunction):
        if not name.startswith("list_") or name in NOT_ASKED:
            continue
        # The bare function: some refuse to be asked without a server, and their store answers all the same.
        bare = inspect.unwrap(method)
        needed = NEEDED.get(name, lambda _: {})(client)
        named = (getattr(client_module, word, None) for word in bare.__code__.co_names)
        filters = [model for model in named if inspect.isclass(model) and issubclass(model, BaseFilter)]
        parameters = tuple(
            word for word in inspect.signature(bare).parameters if word not in {"self", *needed}
        )
        yield Listing(name, partial(bare, client, **needed), parameters, filters[0] if filters else None)


def questions(client: Client) -> Iterator[Question]:
    """All about each list."""
    for listing in all_lists(client):
        whole = Whole(listing)
        yield listing.name, lambda whole=whole: list(whole.labels.values())
        if listing.filters is None:
            continue
        for column in listing.parameters:
            if column not in NO_FILTER | ASKED_ELSEWHERE:
                yield from _filtered(listing, whole, column)
        for key in sorted({*listing.filters.model_fields, *listing.filters.CUSTOM_SORTING_OPTIONS}):
            if (
                key not in listing.filters.FILTER_EXCLUDE_FIELDS
                or key in listing.filters.CUSTOM_SORTING_OPTIONS
            ):
                yield from _sorted(listing, whole, key)


class Whole:
    """All items of a list in the order of their creation, and what each is called."""

    def __init__(self, listing: Listing) -> None:
        asked = {"size": 1000, "sort_by": "asc:created", "hydrate": True}
        found = listing.find(**{word: asked[word] for word in asked if word in listing.parameters})
        self.items = {item.id: item for item in found}
        # A number tells those of one name apart, and those without.
        self.labels = {
            item.id: f"{number} {getattr(item, 'name', None) or ''}" for number, item in enumerate(found)
        }

    def example(self, column: str) -> Any:
        """A value of this column: the second of those there are, or the first."""
        values = [value for item in self.items.values() if (value := value_of(item, column)) is not None]
        return values[min(1, len(values) - 1)] if values else None


def value_of(item: Any, column: str) -> Any:
    """What an item has in a column, by its own name or as the id or name of another object."""
    value = getattr(item, column, None)
    if callable(value):
        value = value()  # a deployment's tags are a method
    if value is None and column.endswith("_id"):
        value = getattr(item, column.removesuffix("_id"), None)
    if hasattr(value, "id"):
        value = value.id if column.endswith("_id") else value.name
    if isinstance(value, list):
        value = ", ".join(sorted(getattr(one, "name", str(one)) for one in value)) or None
    if isinstance(value, timedelta):
        value = value.total_seconds()
    return value


def _filtered(listing: Listing, whole: Whole, column: str) -> Iterator[Question]:
    for written, shown in _values(listing, whole, column):

        def ask(value: Any = written) -> Any:
            found = listing.find(**{column: value, "size": 2, "sort_by": "desc:created"})
            labels = [whole.labels.get(item.id, "not in the whole list") for item in found]
            return [found.total, sorted(labels) if listing.name in UNSORTED else labels]

        yield f"{listing.name} {column}={shown}", ask


def _values(listing: Listing, whole: Whole, column: str) -> Iterator[tuple[Any, str]]:
    """What to write into a filter, and how the question shows it: ids and times are other ones elsewhere."""
    own, filters = whole.example(column), listing.filters
    assert filters
    kind = FilterGenerator(filters) if column in filters.model_fields else None
    # Those of ZenML's own making look at ids too, which begin with other digits elsewhere.
    random = column in RANDOM or not kind or column in filters.FILTER_EXCLUDE_FIELDS
    if column == "project":
        written = ["default", "repository", "absent"]
    elif kind and kind.is_datetime_field(column):
        written = ["gt:2024-03-01 00:00:00", "in:2024-01-01 00:00:00,2024-12-31 00:00:00", "isnull:"]
    elif kind and kind.is_bool_field(column):
        written = [True, False]
    elif kind and not kind.is_str_field(column):
        written = [own or UUID(int=0)]
    elif kind and kind.is_int_field(column):
        own = own if isinstance(own, int) else 1
        written = [f"{operator}:{own}" for operator in ("notequals", "gt", "gte", "lt", "lte")]
        written += ["equals:abc", "isnull:"]
    elif isinstance(own, UUID) or (kind and kind.is_uuid_field(column) and own is None):
        own = own or UUID(int=0)
        written = [
            own,
            f"notequals:{own}",
            f"contains:{str(own)[4:23].upper()}",
            f'notoneof:["{own}"]',
            "isnull:",
        ]
    else:
        own = "none of them" if own is None else str(own)
        written = [
            own,
            f"notequals:{own}",
            f"startswith:{own[: 9 if random else 2].upper()}",
            f"oneof:{json.dumps([own])}",
            "isnull:",
        ]
        written += [] if random else ["lte:1e3", "gt:-1"]
    for number, value in enumerate(written[:2] if column in EVERYWHERE else written):
        hidden = random or isinstance(own, UUID)
        yield value, f"its own, {number}" if hidden else str(value)


def _sorted(listing: Listing, whole: Whole, key: str) -> Iterator[Question]:
    """Of equals ZenML leaves open who is first: they are one group. Ids differ: they are only in order."""
    if key in RANDOM or listing.name in UNSORTED:
        return
    # Where all are equal only whether it can be asked.
    differ = len({str(value_of(item, key)) for item in whole.items.values()}) > 1
    for direction in ("asc", "desc") if differ else ("asc",):

        def ask(order: str = f"{direction}:{key}") -> Any:
            if not differ:
                return listing.find(sort_by=order, size=1).total
            found = [item.id for item in listing.find(sort_by=order, size=1000)]
            values = {id_: value_of(whole.items[id_], key) for id_ in found}
            if any(isinstance(value, UUID) for value in values.values()):
                shown = [value.hex if value else "" for value in values.values()]
                return [len(shown), shown == sorted(shown, reverse=order.startswith("desc"))]
            groups = groupby(found, lambda id_: str(values[id_]))
            return [sorted(whole.labels[id_] for id_ in group) for _, group in groups]

        yield f"{listing.name} sorted {direction}:{key}", ask
