"""All that is asked of ZenML's client."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import accounts
import deletions
import every_list
import pages
import run_statistics
import single_objects
import values
from asking import Question
from zenml.client import Client


def all_of(client: Client, database: str, every: int) -> Iterator[Question]:
    """Each question's text, which is unique, and the call that answers it. What deletes comes last."""
    yield from islice(_reading(client), 0, None, every)
    yield from single_objects.questions(client)
    yield from accounts.questions(client)
    yield from deletions.questions(client, database)


def _reading(client: Client) -> Iterator[Question]:
    for module in (every_list, pages, values, run_statistics):
        yield from module.questions(client)
