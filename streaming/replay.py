"""Rows of a use case as events, at the pace at which they once happened or faster."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from errors import BrokerError, UsageError
from serving.rows import requests

if TYPE_CHECKING:
    import pandas as pd

    from streaming.events import Topics
    from usecases.base import UseCase

FLUSH_SECONDS = 60.0
LONGEST_WAIT = 6 * 3600.0
_WAITING = 200_000
"""Messages that may wait for the broker."""


class Due(NamedTuple):
    """An event, and when it happens."""

    seconds: float
    """After the first one."""
    outcome: bool
    row: int
    value: bytes


@dataclass
class Sent:
    """What was sent."""

    requests: int = 0
    outcomes: int = 0
    seconds: float = 0.0


def timeline(case: UseCase, rows: pd.DataFrame) -> Iterator[Due]:
    """Clean rows → a request when each happened, and its outcome when that was known; in order of time.

    Pauses of more than six hours are left out: some clocks are years off.

    Raises:
        UsageError: the use case does not say when its rows happened.
    """
    if case.moment is None or case.known_at is None:
        raise UsageError(
            f"{case.name} does not say when its rows happened and when what came true was known: "
            "give its use_case.py a rhythm and known_at."
        )
    rows = rows.sort_values(case.moment, kind="stable", ignore_index=True)
    happened = rows[case.moment].to_numpy("M8[us]")
    known = case.known_at(rows).to_numpy("M8[us]")
    both = np.concatenate([happened, known])
    order = np.argsort(both, kind="stable")
    waits = np.diff(both[order], prepend=both[order][:1]) / np.timedelta64(1, "s")
    seconds = np.cumsum(np.where(waits > LONGEST_WAIT, 0.0, waits)).tolist()
    bodies, truth = requests(case.contract, rows), rows[case.target].tolist()
    for at, place in zip(seconds, order.tolist(), strict=True):
        outcome, row = place >= len(rows), place % len(rows)
        value = {"value": float(truth[row])} if outcome else bodies[row]
        yield Due(at, outcome, row, json.dumps(value).encode())


def send(
    configuration: dict[str, Any],
    topics: Topics,
    events: Iterator[Due],
    speed: float,
    stopping: threading.Event,
) -> Sent:
    """Send events, `speed` times as fast as they happened, until told to stop; infinity: without waiting.

    Ids begin with letters of this call's own, so that what is sent again is new.

    Raises:
        BrokerError: the broker does not take them.
    """
    from confluent_kafka import Producer

    trouble: list[str] = []
    producer = Producer(
        {**configuration, "acks": "all", "enable.idempotence": True, "compression.type": "lz4"}
        | {"linger.ms": 5, "queue.buffering.max.messages": _WAITING, "delivery.report.only.error": True}
        | {"on_delivery": lambda error, _: trouble.append(error.str()) if error else None}
    )
    name, sent, began = secrets.token_hex(4), Sent(), time.monotonic()
    for event in events:
        while (left := event.seconds / speed - (time.monotonic() - began)) > 0:
            producer.poll(0)
            if stopping.wait(min(left, 0.1)):
                break
        if stopping.is_set() or trouble:
            break
        topic = topics.outcomes if event.outcome else topics.requests
        while True:
            try:
                producer.produce(topic, event.value, f"{name}-{event.row}")
                break
            except BufferError:
                producer.poll(0.1)
        sent.outcomes += event.outcome
        sent.requests += not event.outcome
    left = producer.flush(FLUSH_SECONDS)
    if left or trouble:
        raise BrokerError(f"Kafka does not take the events: {trouble[0] if trouble else f'{left} wait'}")
    sent.seconds = time.monotonic() - began
    return sent
