"""How a client reaches Kafka: by TLS and a login, and in words why not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

import broker
from errors import BrokerError, UsageError
from releases.kubernetes import manifests
from releases.kubernetes.stream import FOLDER, KAFKA
from settings import Settings
from tests import kafka


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kafka.Broker]:
    with kafka.serving(tmp_path_factory.mktemp("kafka"), secure=True) as running:
        yield running


def _settings(running: kafka.Broker, **changes: object) -> Settings:
    login = {"kafka_ca": running.authority, "kafka_username": kafka.USER, "kafka_password": kafka.PASSWORD}
    return Settings(**{"kafka": f"127.0.0.1:{running.secure_port}", **login, **changes})


def test_a_broker_is_reached_by_tls_and_a_login(running: kafka.Broker) -> None:
    found = broker.configuration(_settings(running))
    broker.reach(found)
    assert AdminClient(found).list_topics(timeout=10).brokers


def test_pods_reach_it_by_what_the_secret_has_in_which_a_command_puts_its_settings(
    running: kafka.Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As k8s/stream reads it: an entry each, and a folder that may have the certificates."""
    for settings in (_settings(running), Settings(kafka=running.address)):
        values = {key: value for key, value in broker.secret(settings).items() if value is not None}
        (deployment,) = (each for each in manifests.read(FOLDER, {}) if each["kind"] == "Deployment")
        folder = tmp_path / str(len(values))
        folder.mkdir()
        if "ca.crt" in values:
            (folder / "ca.crt").write_text(values["ca.crt"])
        for variable in deployment["spec"]["template"]["spec"]["containers"][0]["env"]:
            source = variable.get("valueFrom", {}).get("secretKeyRef", {})
            if source.get("name") == KAFKA and source["key"] in values:
                monkeypatch.setenv(variable["name"], values[source["key"]])
            elif source.get("name") == KAFKA:
                assert source["optional"]
                monkeypatch.delenv(variable["name"], raising=False)
        monkeypatch.setenv("MODELYARD_KAFKA_CA", str(folder))
        assert values.keys() <= {"address", "tls", "ca.crt", "mechanism", "username", "password"}
        broker.reach(broker.configuration(Settings()))


def test_a_broker_without_either_needs_its_address_alone(running: kafka.Broker) -> None:
    broker.reach(broker.configuration(Settings(kafka=running.address)))


def test_a_wrong_password_is_told_and_not_repeated(running: kafka.Broker) -> None:
    with pytest.raises(BrokerError, match=r"(?i)authentication") as refused:
        broker.reach(broker.configuration(_settings(running, kafka_password="another one")), 3)
    assert "another one" not in str(refused.value)


def test_a_certificate_of_another_authority_is_told(running: kafka.Broker, tmp_path: Path) -> None:
    another = tmp_path / "another.pem"
    kafka._secured(tmp_path)
    (tmp_path / "authority.pem").rename(another)
    with pytest.raises(BrokerError, match=r"(?i)certificate"):
        broker.reach(broker.configuration(_settings(running, kafka_ca=another)), 3)


def test_a_broker_that_is_not_there_is_told(free_port: int) -> None:
    with pytest.raises(BrokerError, match=f"127.0.0.1:{free_port} does not answer within 2 s.*refused"):
        broker.reach(broker.configuration(Settings(kafka=f"127.0.0.1:{free_port}")), 2)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "set MODELYARD_KAFKA"),
        ({"kafka": "h:1", "kafka_username": "me"}, "both"),
        ({"kafka": "h:1", "kafka_ca": Path("/nowhere")}, "/nowhere, which is no file"),
    ],
)
def test_what_is_set_by_half_is_told(changes: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        broker.configuration(Settings(**changes))
