"""Bring an event to a topic of the broker that the settings name, and wait until it has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import broker

if TYPE_CHECKING:
    from settings import Settings


def produce(
    settings: Settings, topic: str, key: str, headers: Mapping[str, str], body: bytes, seconds: float
) -> str | None:
    """Why the broker has not taken it within so many seconds; None once all its replicas in step have it.

    What has one `key` goes into one partition, in its order.
    """
    if settings.kafka is None:
        return "is on Kafka, and MODELYARD_KAFKA does not say where that is"
    from confluent_kafka import KafkaError, KafkaException, Producer

    problems: list[str | None] = []

    def delivered(error: KafkaError | None, _: Any) -> None:
        problems.append(None if error is None else f"Kafka does not take it: {error.name()}")

    told = {"acks": "all", "enable.idempotence": True, "message.timeout.ms": int(seconds * 1000)}
    try:
        # Its own lines on stderr would repeat what is returned.
        producer = Producer(broker.configuration(settings) | told | {"log_level": 0})
        producer.produce(topic, value=body, key=key, headers=dict(headers), on_delivery=delivered)
        producer.flush(seconds + 1)
    except KafkaException as error:
        return f"Kafka does not take it: {error.args[0].name()}"
    return problems[0] if problems else f"Kafka did not answer within {seconds:.0f} s"
