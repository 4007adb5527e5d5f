"""A real Kafka broker for tests: one node in KRaft mode, the published jars on Java 17."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

JARS = Path(__file__).with_suffix(".jars")
"""SHA-256 and path in a Maven repository of each jar of org.apache.kafka:kafka_2.13 and what it needs, as
`mvn dependency:copy-dependencies -DincludeScope=runtime -Dmdep.useRepositoryLayout=true` finds them."""
REPOSITORY = os.environ.get("MAVEN_CENTRAL", "https://repo1.maven.org/maven2")
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "modelyard-tests" / "kafka"
SECONDS = 60.0
USER, PASSWORD = "tests", "tests only"
CLUSTER = "AAAAAAAAAAAAAAAAAAAAAQ"
PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",
}
"""Of a broker that is alone."""


@dataclass
class Broker:
    """A broker that can be ended and started again where it was."""

    folder: Path
    classpath: str
    port: int
    secure_port: int | None = None
    """Where it takes TLS and a login alone."""
    authority: Path | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "kafka.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", str(self.folder / "server.properties")), stdout=log, stderr=log
            )
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                AdminClient({"bootstrap.servers": self.address, "log_level": 0}).list_topics(timeout=1)
                return
            except KafkaException:
                alive = self._process.poll() is None
                if not alive or time.monotonic() > deadline:
                    text = (self.folder / "kafka.log").read_text()[-3000:]
                    raise AssertionError(f"Kafka did not start:\n{text}") from None

    def stop(self) -> None:
        """End it as an administrator would."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=SECONDS)

    def kill(self) -> None:
        """End it as a power failure would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def topic(self, name: str, partitions: int = 1) -> str:
        """Make a topic; returns its name."""
        client = AdminClient({"bootstrap.servers": self.address})
        client.create_topics([NewTopic(name, partitions, 1)])[name].result(SECONDS)
        return name

    def format(self) -> None:
        """Make the folder a broker's, with one account."""
        (self.folder / "server.properties").write_text(self._properties())
        account = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
        arguments = ("--standalone", "-t", CLUSTER, "-S", account)
        made = subprocess.run(
            self._java(
                "kafka.tools.StorageTool", "format", *arguments, "-c", str(self.folder / "server.properties")
            ),
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stdout + made.stderr

    def _java(self, *arguments: str) -> list[str]:
        quick = ("-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
        logged = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.yaml'}"
        return ["java", *quick, logged, "-cp", self.classpath, *arguments]

    def _properties(self) -> str:
        (controller,) = _free_ports(1)
        listeners = [f"PLAINTEXT://127.0.0.1:{self.port}"]
        properties = {
            **PROPERTIES,
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
            "log.dirs": str(self.folder / "data"),
        }
        if self.secure_port is not None:
            listeners.append(f"SECURE://127.0.0.1:{self.secure_port}")
            properties |= _secured(self.folder)
            self.authority = self.folder / "authority.pem"
        properties["advertised.listeners"] = ",".join(listeners)
        properties["listeners"] = ",".join([*listeners, f"CONTROLLER://127.0.0.1:{controller}"])
        (self.folder / "log4j2.yaml").write_text(
            "Configuration:\n  Appenders:\n    Console:\n      name: C\n      PatternLayout:\n"
            '        pattern: "%d %p %m%n"\n  Loggers:\n    Root:\n      level: WARN\n      AppenderRef:\n'
            "        - ref: C\n"
        )
        return "".join(f"{name}={value}\n" for name, value in properties.items())


@contextmanager
def serving(folder: Path, *, secure: bool = False) -> Iterator[Broker]:
    """A broker that lives as long as the context, its data and log in `folder`."""
    if shutil.which("java") is None:
        pytest.skip("NOTHING IS TESTED ON KAFKA: there is no java; install openjdk-17-jre-headless")
    port, secure_port = _free_ports(2)
    broker = Broker(folder, _classpath(), port, secure_port if secure else None)
    broker.format()
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


def _classpath() -> str:
    """The jars, downloaded where they are not yet."""
    paths = []
    for line in JARS.read_text().splitlines():
        digest, place = line.split()
        path = CACHE / Path(place).name
        if not path.exists():
            _download(place, digest, path)
        paths.append(str(path))
    return os.pathsep.join(paths)


def _download(place: str, digest: str, path: Path) -> None:
    try:
        with urlopen(f"{REPOSITORY}/{place}", timeout=30) as answer:  # noqa: S310
            content = answer.read()
    except (URLError, OSError) as error:
        pytest.skip(f"NOTHING IS TESTED ON KAFKA: {REPOSITORY}/{place} cannot be had: {error}")
    found = sha256(content).hexdigest()
    assert found == digest, f"{place} is not what it was: SHA-256 {found}"
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)


def _secured(folder: Path) -> dict[str, str]:
    """TLS with a certificate of the tests' own authority, and a login."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    commands: list[tuple[str, ...]] = [
        ("req", "-x509", *key, "-subj", "/CN=authority", "-keyout", "authority.key", "-out", "authority.pem"),
        (
            *("req", "-x509", *key, "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *(
                "-CA",
                "authority.pem",
                "-CAkey",
                "authority.key",
                "-keyout",
                "server.key",
                "-out",
                "server.pem",
            ),
        ),
    ]
    for command in commands:
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)  # noqa: S607
    store = (folder / "server.key").read_text() + (folder / "server.pem").read_text()
    (folder / "server.store").write_text(store)
    module = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "server.store"),
        "listener.name.secure.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.secure.scram-sha-512.sasl.jaas.config": module,
    }


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
