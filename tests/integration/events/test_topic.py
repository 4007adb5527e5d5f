"""Events on a topic: a real broker, which is away and comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

import events
from db import events as outbox
from db.migrate import upgrade
from events import delivery
from events.topic import produce
from settings import Settings
from tests import kafka
from tests.integration.events.receiver import KEY, documented, receiving
from tests.integration.events.test_outbox import checked, served


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kafka.Broker]:
    with kafka.serving(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


def on(broker: kafka.Broker, topic: str, expected: int) -> list[Any]:
    """The messages of a topic, once there are so many."""
    from confluent_kafka import Consumer

    consumer = Consumer(
        {"bootstrap.servers": broker.address, "group.id": topic, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    found: list[Any] = []
    try:
        while len(found) < expected:
            message = consumer.poll(30)
            assert message is not None, f"{len(found)} of {expected} messages have come"
            assert message.error() is None, message.error()
            found.append(message)
    finally:
        consumer.close()
    return found


def test_a_topic_gets_what_webhooks_get_in_order_also_after_the_broker_was_away(
    broker: kafka.Broker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "ANSWER_SECONDS", 2.0)
    upgrade(database)
    topic = broker.topic("models.changed", partitions=3)
    with receiving() as receiver:
        settings = Settings(
            home=tmp_path,
            events=SecretStr(f"{receiver.url} kafka:{topic}"),
            events_key=SecretStr(KEY),
            kafka=broker.address,
        )
        served(database, 1)
        delivery.sweep(settings, database, 10)
        broker.kill()
        served(database, 2)
        checked(database, "retrain", 0)
        delivery.sweep(settings, database, 0.2)
        target = delivery.digest(events.targets(settings)[1])
        first, second = outbox.waiting(database, target)
        assert (first.attempts, second.attempts) == (1, 0)
        assert str(first.problem).startswith("Kafka")
        broker.start()
        outbox.hurry(database)
        delivery.sweep(settings, database, 30)
    messages = on(broker, topic, 3)
    assert [json.loads(message.value()) for message in messages] == receiver.taken
    # One use case is one partition, so its events keep their order.
    assert {message.key() for message in messages} == {b"taxi"}
    verify = documented("verify")
    for message in messages:
        headers = {name: value.decode() for name, value in message.headers()}
        assert headers["content-type"] == "application/cloudevents+json"
        assert verify(headers, message.value(), KEY) == json.loads(message.value())["id"]


def test_a_topic_without_a_broker_is_told_and_stops_nothing(database: str, tmp_path: Path) -> None:
    upgrade(database)
    served(database, 1)
    settings = Settings(home=tmp_path, events=SecretStr("kafka:models.changed"))
    delivery.sweep(settings, database, 0.2)
    (waiting,) = outbox.waiting(database, delivery.digest("kafka:models.changed"))
    assert waiting.problem == "is on Kafka, and MODELYARD_KAFKA does not say where that is"


def test_a_topic_that_is_not_there_is_told_as_that(broker: kafka.Broker, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, kafka=broker.address)
    problem = produce(settings, "nowhere", "taxi", {}, b"{}", 2.0)
    assert problem == "Kafka does not take it: Broker: Unknown topic or partition"
