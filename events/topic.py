"""Bring an event to a topic of the broker that the settings name, and wait until it has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

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

    problems: list[KafkaError | None] = []
    told = {"acks": "all", "enable.idempotence": True, "message.timeout.ms": int(seconds * 1000)}
    try:
        # Its own lines on stderr would repeat what is returned.
        producer = Producer(broker.configuration(settings) | told | {"log_level": 0})
        # For a topic that is not there a producer would wait as long as for one that is slow.
        missing = producer.list_topics(topic, timeout=seconds).topics[topic].error
        if missing is not None:
            return f"Kafka does not take it: {missing.str()}"
        producer.produce(
            topic,
            value=body,
            key=key,
            headers=dict(headers),
            on_delivery=lambda error, _: problems.append(error),
        )
        producer.flush(seconds + 1)
    except KafkaException as error:
        problems = [error.args[0]]
    if not problems:
        return f"Kafka did not answer within {seconds:.0f} s"
    return None if problems[0] is None else f"Kafka does not take it: {problems[0].str()}"
