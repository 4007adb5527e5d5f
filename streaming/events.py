"""What lies in topics: requests and outcomes in, predictions and refusals out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from serving.contract import MAX_BODY_BYTES

Place = tuple[str, int]
"""Topic and partition."""

ID = "ce_id"
"""Header with an event's id, as CloudEvents has it; without it the key is the id."""
_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_SHOWN = 80


@dataclass(frozen=True)
class Topics:
    """The four topics of a stream."""

    requests: str
    """Bodies as the endpoint's /predict takes them."""
    outcomes: str
    """`{"value": number}`: what came true."""
    predictions: str
    """Answers as /predict gives them, with the request's key and id."""
    refused: str
    """What cannot be taken, as it came, with the reason in its headers."""


class Event(NamedTuple):
    """A message, looked at so far as its place, id and time go."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    time: float
    """When it happened: the message's time stamp, seconds since 1970."""
    id: str
    trouble: str | None = None
    """Why it cannot be taken, if that is known before its value is read."""


def event(message: Any) -> Event:
    """The event that a message of confluent_kafka holds."""
    key, value, headers = message.key(), message.value(), message.headers()
    given = key
    if headers:
        given = next((told for name, told in headers if name == ID), key)
    trouble = None
    if given is None or not _ID.fullmatch(given):
        shown = "none" if given is None else repr(given[:_SHOWN].decode("latin-1"))
        trouble = f"An event's id is 1 to 64 letters, digits and ._-, as key or header {ID}; it is {shown}."
    elif value is None:
        trouble = "The event has no value."
    elif len(value) > MAX_BODY_BYTES:
        trouble = f"A value may have at most {MAX_BODY_BYTES:,} bytes; it has {len(value):,}."
    return Event(
        message.topic(),
        message.partition(),
        message.offset(),
        key,
        value or b"",
        message.timestamp()[1] / 1000,
        "" if trouble or given is None else given.decode(),
        trouble,
    )
