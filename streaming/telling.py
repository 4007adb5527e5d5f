"""What a stream tells: predictions to one topic, what it cannot take to another."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from errors import BrokerError
from streaming.events import ID, Topics

if TYPE_CHECKING:
    from confluent_kafka import Message

    from streaming.metrics import Metrics
    from streaming.scoring import Refusal, Row

FLUSH_SECONDS = 10.0
_MAX_REASON, _MAX_VALUE = 2_000, 900_000
"""Characters and bytes of what is refused: it has to find place in a message with what is said of it."""

_PRODUCER = {
    "acks": "all",
    "enable.idempotence": True,
    "linger.ms": 2,
    "compression.type": "lz4",
    "delivery.report.only.error": True,
    # It goes on trying: what waits for the broker waits in the topic it came from.
    "message.timeout.ms": 0,
}

logger = logging.getLogger("modelyard.stream")


class Teller:
    """A producer whose messages are there, all of them, before a batch counts as written."""

    def __init__(self, configuration: dict[str, Any], topics: Topics, metrics: Metrics) -> None:
        from confluent_kafka import Producer

        self._topics, self._metrics = topics, metrics
        self._trouble: list[Any] = []
        told = {**configuration, **_PRODUCER, "on_delivery": self._undelivered}
        self._producer = Producer(told, logger=logging.getLogger("modelyard.kafka"))

    def tell(self, rows: Iterable[Row], refused: Iterable[Refusal]) -> None:
        """Begin to send answers, and what is refused with its reason."""
        produce = self._producer.produce
        for row in rows:
            produce(self._topics.predictions, row.answer, row.event.key, headers={ID: row.event.id})
        for refusal in refused:
            of = refusal.event
            place = {"topic": of.topic, "partition": str(of.partition), "offset": str(of.offset)}
            headers: dict[str, str | bytes | None] = {"reason": refusal.reason[:_MAX_REASON], **place}
            if of.id:
                headers[ID] = of.id
            produce(self._topics.refused, of.value[:_MAX_VALUE], of.key, headers=headers)

    def delivered(self, stopping: threading.Event) -> None:
        """Wait until the broker has all that was produced."""
        from confluent_kafka import KafkaException

        told = False
        while left := self._producer.flush(FLUSH_SECONDS):
            self._metrics.waiting.labels("broker").set(1)
            if stopping.is_set():
                raise BrokerError(f"Kafka did not take {left} messages before the end.")
            if not told:
                logger.warning("Waiting for the broker to take %d messages", left)
                told = True
        self._metrics.waiting.labels("broker").set(0)
        if self._trouble:
            error = self._trouble[0]
            if error.code() in (error._FATAL, error._PURGE_QUEUE):
                raise KafkaException(error)
            raise BrokerError(f"Kafka refuses what this worker writes: {error.str()}")

    def _undelivered(self, error: Any, _: Message) -> None:
        if error is not None:
            self._trouble.append(error)
