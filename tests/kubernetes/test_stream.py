"""A stream in a cluster by commands, its broker in a pod: deployed, drained, moved by releases, stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from releases.kubernetes.place import Place
from releases.kubernetes.release import Canary, release, rollback
from serving.package import package
from tests import kafka
from tests.integration.command_line import CommandLine
from tests.integration.streaming.place import TAXI, content
from tests.kubernetes import endpoints
from tests.kubernetes.cluster import SUBMITTERS, Platform, command, logged, wait_for
from tests.kubernetes.endpoints import Version

ON = ("--stack", "kubernetes")
JVM = Path("/usr/lib/jvm/java-17-openjdk-amd64")
ROWS = 2_000
FIRST, SECOND = 901, 902
"""Versions that no other test's registry has."""

Document = dict[str, Any]
Say = Callable[[str], None]


@pytest.fixture(scope="module")
def stores(platform: Platform) -> Iterator[str]:
    """Namespace of the broker, and of those who send events."""
    if not (JVM / "bin" / "java").exists():
        pytest.skip(f"NO STREAM IS TESTED ON KUBERNETES: the broker's pod takes Java from {JVM}")
    name = f"{platform.namespace}-stores"
    command("kubectl", "create", "namespace", name)
    try:
        kafka._classpath()
        apply(name, *_broker(name))
        kubectl(name, "wait", "--for=condition=Ready", "pod/kafka", "--timeout=180s")
        yield name
    finally:
        command("kubectl", "delete", "namespace", "--wait=false", name)


@pytest.fixture(scope="module")
def streamed(platform: Platform, stores: str, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """`python run.py …` of somebody whose settings name the broker."""
    home = tmp_path_factory.mktemp("streamed")
    return platform.command_line(home, MODELYARD_KAFKA=f"kafka.{stores}.svc:9092")


@pytest.fixture(scope="module")
def versions(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> list[Version]:
    folder, found = tmp_path_factory.mktemp("bentos"), []
    for number in (FIRST, SECOND):
        packed = package(content(number), folder)
        found.append(endpoints.publish(platform, content(number), packed.tag, packed.path))
    return found


@pytest.fixture(scope="module")
def deployed(
    platform: Platform, place: Place, versions: list[Version], streamed: CommandLine
) -> Iterator[Document]:
    """A stream with two workers by the first version."""
    release(place, versions[0].wanted, versions[0].content)
    yield done(streamed, "stream", "taxi", "--workers", "2")
    done(streamed, "stream", "taxi", "--stop")
    kubectl(platform.inference, "delete", "secret", "modelyard-kafka")


def test_a_command_deploys_workers_that_score_by_what_serves(
    deployed: Document, platform: Platform, versions: list[Version], streamed: CommandLine, stores: str
) -> None:
    expected = {"name": "taxi-stream", "version": FIRST, "image": versions[0].image, "workers": 2, "ready": 2}
    assert deployed == {"use_case": "taxi", "namespace": platform.inference, "stream": expected}
    history = done(streamed, "history", "taxi")
    assert (history["stream"], history["drift"]) == (expected, [])
    assert expected in [row["stream"] for row in done(streamed, "status")["use_cases"]]
    (secret,) = platform.get("secret", "modelyard-kafka", namespace=platform.inference)
    assert secret["data"].keys() == {"address"}
    printed = list(yaml.safe_load_all(streamed.tool(*ON, "stream", "taxi", "--workers", "2", "--render")))
    assert {each["metadata"]["name"] for each in printed} == {"taxi-stream"}
    refused = done(streamed, "stream", "taxi", "--member", "one", code=2)
    assert "for workers on this machine" in refused["error"]


def test_pods_score_what_comes_and_are_drained(
    deployed: Document, platform: Platform, stores: str, say: Say
) -> None:
    before = counted(platform)
    (gone, _) = pods(platform)
    with sending(platform, stores) as sent:
        wait_for(lambda: counted(platform) > before, "a prediction")
        kubectl(platform.inference, "delete", "pod", gone, "--wait=true")
    wait_for(lambda: counted(platform) == before + sent(), lambda: f"{before} + {sent()}: {rows(platform)}")
    (found,) = rows(platform)
    assert found["rows"] == found["events"]
    assert found["versions"] == [FIRST]
    say(f"{sent()} events scored while a pod was drained")
    wait_for(lambda: len(pods(platform)) == 2, "two pods that read")


def test_gauges_of_live_error_and_drift_are_there_by_the_login_of_streams(
    deployed: Document, platform: Platform, stores: str
) -> None:
    if not counted(platform):
        with sending(platform, stores):
            wait_for(lambda: counted(platform), "predictions")
    (pod, *_) = pods(platform)
    program = "import urllib.request; print(urllib.request.urlopen('http://localhost:9400/metrics').read().decode())"

    def metrics() -> str:
        return kubectl(platform.inference, "exec", pod, "--container=worker", "--", "python", "-c", program)

    wait_for(lambda: f'stream_live_error{{metric="rmse",version="{FIRST}"}}' in metrics(), "the live error")
    wait_for(lambda: f'stream_drift{{column="distance",version="{FIRST}"}}' in metrics(), "drift")
    said = kubectl(platform.inference, "logs", "--selector=app.kubernetes.io/name=taxi-stream", "--tail=-1")
    assert "left out" not in said


def test_a_release_moves_it_while_events_come_and_none_is_lost_or_doubled(
    deployed: Document, platform: Platform, place: Place, versions: list[Version], stores: str, say: Say
) -> None:
    before = counted(platform)
    with sending(platform, stores) as sent:
        wait_for(lambda: counted(platform) > before, "a prediction")
        outcome = release(place, versions[1].wanted, versions[1].content)
        wait_for(
            lambda: rows(platform)[0]["versions"] == [FIRST, SECOND], "a prediction by the other version"
        )
    assert (outcome.stream, outcome.stream_trouble) == ("taxi-stream", None)
    assert worker_image(platform) == versions[1].image
    wait_for(lambda: counted(platform) == before + sent(), lambda: f"{before} + {sent()}: {rows(platform)}")
    (found,) = rows(platform)
    assert found["rows"] == found["events"]
    say(f"{sent()} events while a release moved the stream: {outcome.seconds}")


def test_a_canary_moves_it_only_once_it_has_taken_the_place_of_the_others(
    deployed: Document, platform: Platform, place: Place, versions: list[Version], stores: str, say: Say
) -> None:
    one, two = versions
    release(place, one.wanted, one.content)
    before = counted(platform)
    with (
        endpoints.callers(platform),
        endpoints.asked(platform, rate=50, use_case="taxi") as counts,
        sending(platform, stores) as sent,
        ThreadPoolExecutor() as pool,
    ):
        releasing = pool.submit(release, place, two.wanted, two.content, Canary(0.5, 10))
        wait_for(lambda: endpoints.pods(platform, "canary", "taxi"), "a canary")
        assert worker_image(platform) == one.image
        outcome = releasing.result()
    assert (outcome.withdrawn, outcome.stream, outcome.stream_trouble) == (None, "taxi-stream", None)
    assert worker_image(platform) == two.image
    wait_for(lambda: counted(platform) == before + sent(), lambda: f"{before} + {sent()}: {rows(platform)}")
    say(f"{sent()} events while a canary was promoted, the endpoint asked beside it: {counts}")
    assert counts.failures == []


def test_workers_that_do_not_get_ready_leave_those_of_before_and_the_release_alone(
    deployed: Document, platform: Platform, place: Place, versions: list[Version], streamed: CommandLine
) -> None:
    one, two = versions
    release(place, two.wanted, two.content)
    before = pods(platform)
    outcome = rollback(replace(place, image=f"{place.image}-is-not-there"), "taxi", FIRST)
    assert outcome.stream == "taxi-stream"
    assert "cannot be pulled" in str(outcome.stream_trouble)
    assert pods(platform) == before
    sentences = done(streamed, "history", "taxi")["drift"]
    assert sentences == ["Not all 2 workers of taxi-stream are ready."]
    again = release(place, one.wanted, one.content)
    assert (again.changed, again.stream, again.stream_trouble) == (False, "taxi-stream", None)
    assert worker_image(platform) == one.image
    assert not set(before) & set(pods(platform))


def test_pods_reach_the_broker_and_the_database_and_nothing_else(
    deployed: Document, platform: Platform, stores: str
) -> None:
    (pod, *_) = wait_for(lambda: pods(platform), "pods that read")
    reached = {
        (f"kafka.{stores}.svc", 9092): True,
        (f"{platform.release}-postgresql.{platform.namespace}.svc", 5432): True,
        (f"{platform.release}-mlflow.{platform.namespace}.svc", 5000): False,
        ("kubernetes.default.svc", 443): False,
        (f"kafka.{stores}.svc", 8080): False,
    }
    assert _reached(platform, pod, list(reached)) == list(reached.values())


def test_a_submitter_may_make_the_secret_of_the_broker_and_no_other(platform: Platform) -> None:
    def made(name: str) -> str:
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "stringData": {"a": "b"},
        }
        return command(
            "kubectl", "--namespace", platform.inference, "apply", "--server-side", "--filename=-",
            "--force-conflicts", "--dry-run=server", "--as=somebody", f"--as-group={SUBMITTERS}",
            check=False, stdin=json.dumps(manifest),
        )  # fmt: skip

    assert "serverside-applied" in made("modelyard-kafka")
    assert "orbidden" in made("another")


def test_taken_away_it_is_gone_but_for_the_secret_by_which_another_one_begins(
    deployed: Document, platform: Platform, streamed: CommandLine
) -> None:
    assert done(streamed, "stream", "taxi", "--stop")["stream"] is None
    kinds = "deployments,horizontalpodautoscalers,poddisruptionbudgets,networkpolicies,serviceaccounts"
    wait_for(
        lambda: (
            not platform.get(
                kinds, "--selector=app.kubernetes.io/name=taxi-stream", namespace=platform.inference
            )
        ),
        "its end",
    )
    assert "There is no taxi-stream" in done(streamed, "stream", "taxi", "--stop", code=2)["error"]
    wrong = command_line(streamed, "kafka.nowhere.svc:9092")
    assert "does not answer" in done(wrong, "stream", "taxi", code=1)["error"]
    assert done(streamed, "stream", "taxi")["stream"]["ready"] == 1
    assert done(command_line(streamed, None), "stream", "taxi")["stream"]["ready"] == 1


def command_line(run: CommandLine, broker: str | None) -> CommandLine:
    """The same command line, whose settings name another broker, or none."""
    other = CommandLine(run.home, 3000)
    other.environment = {name: value for name, value in run.environment.items() if name != "MODELYARD_KAFKA"}
    other.environment |= {"MODELYARD_KAFKA": broker} if broker else {}
    return other


def done(run: CommandLine, *arguments: str, code: int = 0) -> Document:
    ended = run(*ON, *arguments)
    assert ended.code == code, ended
    return ended.document


@contextmanager
def sending(platform: Platform, stores: str) -> Iterator[Callable[[], int]]:
    """Send real trips again and again while the block lasts; how many were valid is known afterwards."""
    once = f"python run.py replay-trips taxi --speed=max --rows={ROWS}"
    image = ":".join(platform.images[f"image.{part}"] for part in ("repository", "tag"))
    container = {
        "name": "sender",
        "image": image,
        "command": ["sh", "-ec", f"until [ -e /told/enough ]; do {once}; echo once; done"],
        "env": [{"name": "MODELYARD_KAFKA", "value": f"kafka.{stores}.svc:9092"}],
        "volumeMounts": [{"name": "told", "mountPath": "/told"}],
    }
    spec = {
        "containers": [container],
        "restartPolicy": "Never",
        "volumes": [{"name": "told", "emptyDir": {}}],
    }
    apply(stores, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "sender"}, "spec": spec})
    sent: list[int] = []
    try:
        kubectl(stores, "wait", "--for=condition=Ready", "pod/sender", "--timeout=60s")
        yield lambda: sent[0]
        kubectl(stores, "exec", "sender", "--", "touch", "/told/enough")
        kubectl(stores, "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/sender", "--timeout=120s")
        sent.append(kubectl(stores, "logs", "sender").split().count("once") * _valid())
    finally:
        kubectl(stores, "delete", "pod", "sender", "--grace-period=1")


def _valid() -> int:
    found = TAXI.clean(TAXI.read(TAXI.locate("sample", None, Path()))).frame
    return int((found.nsmallest(ROWS, "lpep_pickup_datetime")["trip_distance"] <= 100).sum())


def pods(platform: Platform) -> list[str]:
    """Pods of the stream that are ready, and stay."""
    found = platform.get(
        "pods", "--selector=app.kubernetes.io/name=taxi-stream", namespace=platform.inference
    )
    return sorted(
        pod["metadata"]["name"]
        for pod in found
        if "deletionTimestamp" not in pod["metadata"]
        and any(each["ready"] for each in pod["status"].get("containerStatuses", ()))
    )


def worker_image(platform: Platform) -> str:
    """The image whose model scores."""
    (found,) = platform.get("deployment", "taxi-stream", namespace=platform.inference)
    (bringing,) = found["spec"]["template"]["spec"]["initContainers"]
    return str(bringing["image"])


def rows(platform: Platform) -> list[Document]:
    """Of what the stream has logged: rows, events, and versions in the order of their numbers."""
    return logged(
        platform,
        "SELECT count(*) AS rows, count(DISTINCT request_id) AS events, "
        "array_agg(DISTINCT model_version ORDER BY model_version) AS versions "
        "FROM predictions JOIN stream_events ON event_id = request_id",
    )


def counted(platform: Platform) -> int:
    (found,) = rows(platform)
    return int(found["rows"])


def _reached(platform: Platform, pod: str, addresses: Sequence[tuple[str, int]]) -> list[bool]:
    """Which addresses a pod reaches."""
    program = f"""
import socket
from concurrent.futures import ThreadPoolExecutor

def reached(address):
    try:
        socket.create_connection(address, 3).close()
    except OSError:
        return False
    return True

with ThreadPoolExecutor() as pool:
    print(list(pool.map(reached, {list(addresses)!r})))
"""
    said = kubectl(platform.inference, "exec", pod, "--container=worker", "--", "python", "-c", program)
    return [word == "True" for word in said.strip("[]\n ").split(", ")]


def kubectl(namespace: str, *arguments: str, check: bool = True) -> str:
    return command("kubectl", "--namespace", namespace, *arguments, check=check)


def apply(namespace: str, *manifests: Document) -> None:
    text = yaml.safe_dump_all(manifests)
    command("kubectl", "--namespace", namespace, "apply", "--filename=-", stdin=text)


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
        # A broker that gets no CPU beside its workers answers no heartbeat. More would leave no room for the
        # worker that a rollout makes beside those there are.
        "resources": {"requests": {"cpu": "300m"}},
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
