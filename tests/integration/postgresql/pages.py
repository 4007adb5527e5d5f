"""Pages of every list, and whether what lists show is what single objects show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from asking import Question
from every_list import UNSORTED, Listing, Whole, all_lists
from zenml.client import Client


def questions(client: Client) -> Iterator[Question]:
    """Each list in three pages by each key that needs a join, and the two first items alone."""
    for listing in all_lists(client):
        if listing.filters is None:
            continue
        whole = Whole(listing)
        for key in ["created", *sorted(listing.filters.CUSTOM_SORTING_OPTIONS)]:
            yield f"{listing.name} in pages by {key}", _in_pages(listing, whole, key)
        if "id" in listing.parameters:
            for id_ in islice(whole.items, 2):
                yield f"{listing.name}, {whole.labels[id_]} alone", _alone(listing, whole, id_)
    for size, page in ((50, 99), (0, 1), (1, 0), (10**9, 1)):
        yield (
            f"models, page {page} of {size} each",
            lambda find=client.list_models, size=size, page=page: find(size=size, page=page).total,
        )


def _in_pages(listing: Listing, whole: Whole, key: str) -> Callable[[], Any]:
    """Total and length of each page, how many items none shows, and the order where no two are equal."""

    def ask() -> Any:
        size = max(1, -(-len(whole.items) // 3))
        pages = [listing.find(page=1, size=size, sort_by=f"desc:{key}")]
        for page in range(2, pages[0].total_pages + 1):
            pages.append(listing.find(page=page, size=size, sort_by=f"desc:{key}"))
        seen = [whole.labels[item.id] for page in pages for item in page]
        missing = len({*whole.labels.values()} - {*seen})
        counts = [[page.total, page.total_pages, len(page.items)] for page in pages]
        return [counts, missing, seen if key == "created" and listing.name not in UNSORTED else []]

    return ask


def _alone(listing: Listing, whole: Whole, id_: Any) -> Callable[[], Any]:
    """Whether it is the same, read alone and in a list, with all parts at once and with parts read later."""

    def ask() -> Any:
        listed = whole.items[id_]
        brief = next(iter(listing.find(id=id_)))
        alone = brief.get_hydrated_version()
        same = {
            part: getattr(listed, part) == getattr(alone, part) for part in ("body", "metadata", "resources")
        }
        return same | {"later": brief.get_metadata() == listed.get_metadata()}

    return ask
