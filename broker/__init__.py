"""Kafka: how a client reaches the broker that the settings name."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from errors import BrokerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from settings import Settings

ANSWER_SECONDS = 10.0
_PAUSE_SECONDS = 0.2


def configuration(settings: Settings) -> dict[str, Any]:
    """What librdkafka is told of the broker: address, TLS, login. It holds a password: log nothing of it.

    Raises:
        UsageError: no broker is named, or half of a login.
    """
    if settings.kafka is None:
        raise UsageError(
            "No Kafka broker is named: set MODELYARD_KAFKA to its bootstrap address, such as broker:9092."
        )
    login = (settings.kafka_username, settings.kafka_password)
    if (settings.kafka_username is None) != (settings.kafka_password is None):
        raise UsageError(
            "A login at Kafka takes MODELYARD_KAFKA_USERNAME and MODELYARD_KAFKA_PASSWORD: both."
        )
    authority = _authority(settings)
    encrypted, known = settings.kafka_tls or authority is not None, None not in login
    protocol = {(False, False): "plaintext", (True, False): "ssl", (False, True): "sasl_plaintext"}
    found: dict[str, Any] = {
        "bootstrap.servers": settings.kafka,
        "security.protocol": protocol.get((encrypted, known), "sasl_ssl"),
    }
    if authority is not None:
        found["ssl.ca.location"] = str(authority)
    if settings.kafka_username is not None and settings.kafka_password is not None:
        found |= {
            "sasl.mechanism": settings.kafka_mechanism,
            "sasl.username": settings.kafka_username,
            "sasl.password": settings.kafka_password.get_secret_value(),
        }
    return found


def secret(settings: Settings) -> dict[str, str | None]:
    """What k8s/stream reads of the broker, as the values of a Secret; None of what is not set.

    Raises:
        UsageError: no broker is named, or half of a login.
    """
    known = "sasl.username" in configuration(settings)
    authority, password = _authority(settings), settings.kafka_password
    return {
        "address": settings.kafka,
        "tls": "true" if settings.kafka_tls else None,
        "ca.crt": authority.read_text() if authority else None,
        "mechanism": settings.kafka_mechanism if known else None,
        "username": settings.kafka_username,
        "password": password.get_secret_value() if password else None,
    }


def _authority(settings: Settings) -> Path | None:
    """The file with certificates of authorities; None: the system's."""
    named = settings.kafka_ca
    if named is not None and named.is_dir():
        # Where a Secret is mounted that may have one.
        named = named / "ca.crt" if (named / "ca.crt").exists() else None
    if named is not None and not named.is_file():
        raise UsageError(f"MODELYARD_KAFKA_CA names {named}, which is no file.")
    return named


def reach(configuration: dict[str, Any], seconds: float = ANSWER_SECONDS) -> None:
    """Return once the broker answers.

    Raises:
        BrokerError: it doesn't within `seconds`, with what was found on the way: a refused login, a
            certificate of another authority.
    """
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient

    said: list[str] = []

    def hear(error: KafkaError) -> None:
        # The last of them only says that no broker is left.
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            said.append(error.str())

    told: dict[str, Any] = {**configuration, "error_cb": hear}
    client = AdminClient(told, logger=_silent())
    try:
        client.list_topics(timeout=seconds)
    except KafkaException as error:
        client.poll(0)
        raise BrokerError(
            f"Kafka at {configuration['bootstrap.servers']} does not answer within {seconds:.0f} s: "
            f"{said[-1] if said else error.args[0].str()}\n"
            "Look at MODELYARD_KAFKA, and at MODELYARD_KAFKA_TLS, _CA and _USERNAME where it asks for them."
        ) from None


def make_topics(configuration: dict[str, Any], names: Sequence[str]) -> list[str]:
    """Make those topics that are not there, as the broker makes topics by default; returns their names.

    Raises:
        BrokerError: it doesn't let this client do it.
    """
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    client = AdminClient(configuration, logger=_silent())
    there = _topics(client)
    missing = [name for name in dict.fromkeys(names) if name not in there]
    made = []
    for name, future in client.create_topics([NewTopic(name) for name in missing]).items() if missing else ():
        try:
            future.result(ANSWER_SECONDS)
            made.append(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise BrokerError(
                    f"There is no topic {name}, and it cannot be made: {error.args[0].str()}. Let an "
                    f"administrator make it: kafka-topics.sh --create --topic {name} --partitions 6"
                ) from None
    return made


def _topics(client: Any) -> Any:
    """The topics that there are. A broker that begins, or makes topics just now, may give half an answer."""
    from confluent_kafka import KafkaException

    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            return client.list_topics(timeout=ANSWER_SECONDS).topics
        except KafkaException as error:
            if time.monotonic() > deadline:
                raise BrokerError(f"Kafka does not list its topics: {error.args[0].str()}") from None
            time.sleep(_PAUSE_SECONDS)


def _silent() -> Any:
    """A logger for what is raised anyway."""
    import logging

    quiet = logging.getLogger("modelyard.kafka.reach")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    return quiet
