"""A stream in a cluster, its broker in a pod: scored by pods that reach little else, drained when they go."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from db import roles
from db.migrate import upgrade
from releases.kubernetes import image as images
from settings import PROJECT
from tests import kafka
from tests.integration.streaming.place import build
from tests.kubernetes.cluster import command, forwarding, image, wait_for

JVM = Path("/usr/lib/jvm/java-17-openjdk-amd64")
PASSWORD = "tests-only"
ROWS = 4_000


@pytest.fixture(scope="module")
def namespaces() -> Iterator[tuple[str, str]]:
    """Where the stream is, and where its broker and database are."""
    if not (JVM / "bin" / "java").exists():
        pytest.skip(f"NO STREAM IS TESTED ON KUBERNETES: the broker's pod takes Java from {JVM}")
    stream = f"my-{secrets.token_hex(3)}-stream"
    stores = f"{stream}-stores"
    for name in (stream, stores):
        command("kubectl", "create", "namespace", name)
    command("kubectl", "label", "namespace", stream, "pod-security.kubernetes.io/enforce=restricted")
    try:
        yield stream, stores
    finally:
        command("kubectl", "delete", "namespace", "--wait=false", stream, stores)


@pytest.fixture(scope="module")
def database(namespaces: tuple[str, str], monkeypatch_module: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of a migrated database in a pod, from here; a broker is beside it."""
    _, stores = namespaces
    kafka._classpath()
    apply(stores, *_broker(stores), *_postgresql())
    command(
        "kubectl", "--namespace", stores, "wait", "--for=condition=Ready", "pod", "--all", "--timeout=180s"
    )
    line = ("kubectl", "--namespace", stores, "port-forward", "service/postgresql", ":5432")
    monkeypatch_module.setenv("PGPASSWORD", PASSWORD)
    with forwarding(line) as address:
        url = f"postgresql://postgres@{address.removeprefix('http://')}/modelyard"
        upgrade(url)
        roles.make(url, roles.STREAM, PASSWORD)
        yield url


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def stream(namespaces: tuple[str, str], database: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Namespace of a stream with two workers that read."""
    here, stores = namespaces
    found, folder = image(), tmp_path_factory.mktemp("overlay")
    serving = f"{found['servingImage.repository']}:{found['servingImage.tag']}"
    bento = build(tmp_path_factory.mktemp("bentos"), 1).path
    insecure = found["registry.insecure"] == "true"
    reference = images.publish(bento, serving, insecure=insecure, labels={}).reference
    repository, _, digest = reference.partition("@")
    url = f"postgresql://modelyard_stream:{PASSWORD}@postgresql.{stores}.svc:5432/modelyard"
    make_secret(here, "modelyard-stream-database", url=url)
    make_secret(here, "modelyard-kafka", address=f"kafka.{stores}.svc:9092")
    overlay = {
        "resources": ["stream"],
        "namespace": here,
        "images": [
            {"name": "modelyard", "newName": found["image.repository"], "newTag": found["image.tag"]},
            {
                "name": "modelyard-endpoint",
                "newName": repository.rpartition(":")[0],
                "digest": digest,
            },
        ],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    (folder / "stream").symlink_to(PROJECT / "k8s" / "stream")
    command("kubectl", "apply", "--kustomize", str(folder))
    kubectl(here, "scale", "deployment/stream", "--replicas=2")
    kubectl(here, "rollout", "status", "deployment/stream", "--timeout=240s")
    return here


def test_pods_score_what_comes_and_are_drained(
    stream: str, namespaces: tuple[str, str], database: str, say: Any
) -> None:
    pods = wait_for(lambda: _ready(stream), "two pods that read")
    sent = _replay(stream, pods[0])
    wait_for(lambda: _count(database) > 0, "a prediction")
    began = time.monotonic()
    kubectl(stream, "delete", "pod", pods[1], "--wait=true")
    drained = time.monotonic() - began
    sent += _replay(stream, pods[0])
    wait_for(lambda: _count(database) == sent, lambda: f"{_count(database)} of {sent} predictions", 120)
    assert _rows(database, "SELECT count(DISTINCT request_id) FROM predictions") == sent
    assert _rows(database, "SELECT count(*) FROM outcomes") >= sent
    said = kubectl(stream, "logs", "--selector=app.kubernetes.io/name=stream", "--tail=-1", "--prefix")
    assert "Reading" in said
    say(f"{sent} events scored; a pod was drained and gone after {drained:.1f} s")


def test_pods_reach_the_broker_and_the_database_and_nothing_else(
    stream: str, namespaces: tuple[str, str]
) -> None:
    (pod, *_) = wait_for(lambda: _ready(stream), "pods that read")
    _, stores = namespaces
    assert _reaches(stream, pod, f"kafka.{stores}.svc", 9092)
    assert _reaches(stream, pod, f"postgresql.{stores}.svc", 5432)
    assert not _reaches(stream, pod, "kubernetes.default.svc", 443)
    assert not _reaches(stream, pod, f"kafka.{stores}.svc", 8080)


def _replay(namespace: str, pod: str) -> int:
    """Send real trips from a pod; how many requests are valid."""
    kubectl(
        namespace, "exec", pod, "--container=stream", "--", "python", "run.py", "replay-trips", "taxi",
        "--speed=max", f"--rows={ROWS}",
    )  # fmt: skip
    from tests.integration.streaming.place import TAXI

    first = TAXI.clean(TAXI.read(TAXI.locate("sample", None, Path()))).frame
    first = first.nsmallest(ROWS, "lpep_pickup_datetime")
    return int((first["trip_distance"] <= 100).sum())


def _ready(namespace: str) -> list[str]:
    found = kubectl(
        namespace, "get", "pods", "--selector=app.kubernetes.io/name=stream",
        "--output=jsonpath={range .items[*]}{.metadata.name}={.status.containerStatuses[0].ready} {end}",
    ).split()  # fmt: skip
    ready = [pod.removesuffix("=true") for pod in found if pod.endswith("=true")]
    return ready if len(ready) >= 2 else []


def _reaches(namespace: str, pod: str, host: str, port: int) -> bool:
    program = f"import socket; socket.create_connection(({host!r}, {port}), 5).close(); print('reached')"
    said = kubectl(namespace, "exec", pod, "--container=stream", "--", "python", "-c", program, check=False)
    return "reached" in said


def _count(url: str) -> int:
    return _rows(url, "SELECT count(*) FROM predictions")


def _rows(url: str, query: str) -> int:
    import psycopg2

    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return int(cursor.fetchall()[0][0])
    finally:
        connection.close()


def kubectl(namespace: str, *arguments: str, check: bool = True) -> str:
    return command("kubectl", "--namespace", namespace, *arguments, check=check)


def apply(namespace: str, *manifests: dict[str, Any]) -> None:
    text = yaml.safe_dump_all(manifests)
    command("kubectl", "--namespace", namespace, "apply", "--filename=-", stdin=text)


def make_secret(namespace: str, name: str, **values: str) -> None:
    metadata = {"name": name}
    apply(namespace, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values})


def _postgresql() -> Iterator[dict[str, Any]]:
    yield _service("postgresql", 5432)
    env = [{"name": "POSTGRES_PASSWORD", "value": PASSWORD}, {"name": "POSTGRES_DB", "value": "modelyard"}]
    probe = {"exec": {"command": ["pg_isready", "--host=127.0.0.1"]}, "periodSeconds": 1}
    container = {"name": "postgresql", "image": "postgres:17-trixie", "env": env, "readinessProbe": probe}
    yield _pod("postgresql", container, [])


def _broker(namespace: str) -> Iterator[dict[str, Any]]:
    """Kafka by the jars and the Java of this machine, which the node has to be."""
    yield _service("kafka", 9092)
    properties = {
        **kafka.PROPERTIES,
        "controller.quorum.bootstrap.servers": "127.0.0.1:9090",
        "listeners": "PLAINTEXT://0.0.0.0:9092,CONTROLLER://127.0.0.1:9090",
        "advertised.listeners": f"PLAINTEXT://kafka.{namespace}.svc:9092",
        "log.dirs": "/data/kafka",
        "num.partitions": "4",
    }
    text = "".join(f"{name}={value}\n" for name, value in properties.items())
    settings = {"server.properties": text}
    yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kafka"}, "data": settings}
    java, own = f"{JVM}/bin/java", "/etc/kafka/server.properties"
    begin = f"{java} kafka.tools.StorageTool format --standalone -t {kafka.CLUSTER} -c {own}"
    paths = {"jvm": str(JVM.parent), "java": "/etc/java-17-openjdk", "jars": str(kafka.CACHE)}
    volumes = [{"name": name, "hostPath": {"path": path}} for name, path in paths.items()]
    volumes += [{"name": "kafka", "configMap": {"name": "kafka"}}, {"name": "data", "emptyDir": {}}]
    mounts = [{"name": name, "mountPath": path} for name, path in paths.items()]
    mounts += [{"name": "kafka", "mountPath": "/etc/kafka"}, {"name": "data", "mountPath": "/data"}]
    container = {
        "name": "kafka",
        "image": "python:3.11-slim-bookworm",
        "command": ["sh", "-c", f"{begin} && exec {java} kafka.Kafka {own}"],
        "env": [
            {"name": "CLASSPATH", "value": f"{kafka.CACHE}/*"},
            {"name": "JAVA_TOOL_OPTIONS", "value": "-Xmx400m -XX:+UseSerialGC"},
        ],
        "volumeMounts": mounts,
        "readinessProbe": {"tcpSocket": {"port": 9092}, "periodSeconds": 1},
    }
    yield _pod("kafka", container, volumes)


def _service(name: str, port: int) -> dict[str, Any]:
    spec = {"selector": {"app": name}, "ports": [{"port": port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def _pod(name: str, container: dict[str, Any], volumes: list[dict[str, Any]]) -> dict[str, Any]:
    metadata = {"name": name, "labels": {"app": name}}
    spec = {"containers": [container], "volumes": volumes}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
