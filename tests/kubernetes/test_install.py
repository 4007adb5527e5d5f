"""An installation from nothing: soon ready, with the fewest rights, truthful probes, and kept secrets."""

from __future__ import annotations

import json
import re
import shlex
import socket
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from gzip import decompress
from typing import Any

import httpx
import pytest

from tests.kubernetes import data
from tests.kubernetes.cluster import Platform, command, forwarding, installed, problems, wait_for

SECONDS = 60
"""From `helm install` to the last pod ready, where the nodes have the images."""
MEBI = {"Ki": 1 / 1024, "Mi": 1, "Gi": 1024}

Say = Callable[[str], None]


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    """One of this module's own: its PostgreSQL is stopped."""
    with installed() as found:
        yield found


def pods(platform: Platform) -> dict[str, dict[str, Any]]:
    """Component → its running pod."""
    return {
        pod["metadata"]["labels"]["app.kubernetes.io/component"]: pod
        for pod in platform.get("pods", "--field-selector=status.phase=Running")
    }


def test_all_pods_are_ready_within_a_minute(platform: Platform, say: Say) -> None:
    say(f"helm install: {platform.installed:.1f} s until all pods were ready")
    assert pods(platform).keys() == {"zenml", "mlflow", "postgresql", "s3"}
    wait_for(lambda: not problems(platform.get("pods")), "the migration's pod done", seconds=30)
    assert platform.installed < SECONDS


def test_idle_pods_take_no_more_memory_than_they_are_promised(platform: Platform, say: Say) -> None:
    if "metrics.k8s.io" not in command("kubectl", "api-versions"):
        pytest.skip("the cluster has no metrics-server, so nobody knows how much memory pods take")

    def measured() -> dict[str, float] | None:
        lines = platform.kubectl("top", "pods", "--no-headers", check=False).splitlines()
        found = {name: size for name, _, size in (line.split() for line in lines if line.count("Mi") == 1)}
        if not {pod["metadata"]["name"] for pod in pods(platform).values()} <= found.keys():
            return None
        return {name: mebibytes(size) for name, size in found.items()}

    memory = wait_for(measured, "memory of all pods", pause=2)
    for component, pod in pods(platform).items():
        taken = memory[pod["metadata"]["name"]]
        promised = mebibytes(pod["spec"]["containers"][0]["resources"]["requests"]["memory"])
        say(f"{component}: {taken:.0f} MiB of {promised:.0f}")
        assert taken < promised


def mebibytes(size: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(\w+)", size).groups()  # type: ignore[union-attr]
    return float(number) * MEBI[unit]


def test_each_process_runs_as_somebody_without_any_rights(platform: Platform) -> None:
    for component, pod in pods(platform).items():
        status = platform.kubectl("exec", pod["metadata"]["name"], "--", "cat", "/proc/1/status")
        found = dict(re.findall(r"^(\w+):\s+(\w+)", status, re.MULTILINE))
        assert int(found["Uid"]) == (999 if component == "postgresql" else 10001)
        assert int(found["CapBnd"], 16) == int(found["CapEff"], 16) == 0
        assert found["NoNewPrivs"] == "1"
        assert found["Seccomp"] == "2"


def test_all_three_namespaces_refuse_pods_with_more_rights(platform: Platform) -> None:
    for namespace in (platform.namespace, platform.pipelines, platform.inference):
        answer = command(
            "kubectl", "--namespace", namespace, "run", "rooted", "--image=busybox", "--dry-run=server",
            check=False,
        )  # fmt: skip
        assert 'violates PodSecurity "restricted' in answer


def test_no_process_can_write_into_its_image(platform: Platform) -> None:
    for component, pod in pods(platform).items():
        folders = ["/", "/opt/modelyard/"] if component in ("zenml", "mlflow") else ["/"]
        for folder in folders:
            answer = platform.kubectl(
                "exec", pod["metadata"]["name"], "--", "touch", f"{folder}written", check=False
            )
            assert "Read-only file system" in answer


def commands(platform: Platform) -> list[str]:
    """What the notes tell people to type."""
    notes = command("helm", "get", "notes", platform.release, "--namespace", platform.namespace)
    return [line.strip() for line in notes.splitlines() if line.startswith("    ")]


def test_what_the_notes_say_works_as_it_is_printed(platform: Platform) -> None:
    lines = commands(platform)

    def one(words: str) -> str:
        (found,) = [line for line in lines if words in line]
        return found

    typed(one(" wait "))
    password = typed(one("get secret")).strip()
    with (
        forwarding(forwarded(one("service/modelyard-zenml"))) as zenml,
        forwarding(forwarded(one("service/modelyard-mlflow"))) as mlflow,
        data.logged_in(zenml, mlflow, password) as servers,
    ):
        assert "<title>ZenML" in httpx.get(zenml, trust_env=False).text
        assert servers.zenml.get("current-user").json()["name"] == "default"
        assert servers.names() == set()
        assert httpx.get(mlflow, trust_env=False).status_code == 401
        assert "MLflow" in httpx.get(mlflow, auth=("default", password), trust_env=False).text
    typed(one("create job"))
    platform.kubectl("wait", "--for=condition=Complete", "job/modelyard-backup-now", "--timeout=120s")


def forwarded(line: str) -> list[str]:
    """A line that forwards a port; to another one, where somebody else on this machine has its."""
    words, _, url = line.partition("    # ")
    port = re.search(r" (\d+):\d+$", words)[1]  # type: ignore[index]
    assert url == f"http://127.0.0.1:{port}"
    try:
        socket.create_server(("127.0.0.1", int(port))).close()
    except OSError:
        words = words.replace(f" {port}:", " :")
    return shlex.split(words)


def typed(line: str) -> str:
    """What a line typed into a shell prints."""
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)  # noqa: S602
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_servers_say_that_postgresql_is_away_and_are_ready_again_by_themselves(
    platform: Platform, say: Say
) -> None:
    before = {name: pods(platform)[name]["metadata"]["name"] for name in ("zenml", "mlflow")}
    platform.kubectl("scale", "statefulset/modelyard-postgresql", "--replicas=0")
    try:
        wait_for(lambda: not ready(platform) & before.keys(), "both servers not ready")
        assert "s3" in ready(platform)
        for name, port in (("zenml", 8237), ("mlflow", 5000)):
            with platform.forwarded(f"pod/{before[name]}", port) as url:
                answer = httpx.get(f"{url}/ready", trust_env=False, timeout=30)
                assert (answer.status_code, answer.text) == (503, "PostgreSQL does not answer.")
                assert httpx.get(f"{url}/health", trust_env=False, timeout=30).status_code == 200
    finally:
        platform.kubectl("scale", "statefulset/modelyard-postgresql", "--replicas=1")
    wait_for(lambda: before.keys() | {"postgresql"} <= ready(platform), "both servers ready again")
    after = pods(platform)
    for name, pod in before.items():
        assert after[name]["metadata"]["name"] == pod
        assert after[name]["status"]["containerStatuses"][0]["restartCount"] == 0
    with data.opened(platform) as servers:
        servers.put("after all")
        assert servers.holds("after all")


def ready(platform: Platform) -> set[str]:
    """Components whose pods are ready, as Services see them."""
    found = pods(platform)
    wrong = problems(list(found.values()))
    return {name for name, pod in found.items() if pod["metadata"]["name"] not in wrong}


def test_no_secret_is_in_anything_else_that_the_release_has_or_says(platform: Platform) -> None:
    selector = f"--selector=modelyard.dev/release={platform.release}"
    values = {
        b64decode(value).decode()
        for namespace in (platform.namespace, platform.pipelines)
        for secret in platform.get("secrets", selector, namespace=namespace)
        for value in secret["data"].values()
    } - {"default"}
    # Of each of four database's users, the keys and S3 two, whose copies are the same; the login's password.
    assert len(values) == 13
    said = "".join(texts(platform))
    assert "Uvicorn running" in said
    assert "pre-install" in said
    for value in values:
        assert value not in said
        assert b64encode(value.encode()).decode() not in said


def texts(platform: Platform) -> Iterator[str]:
    kinds = "configmaps,pods,jobs,cronjobs,deployments,replicasets,statefulsets,events,serviceaccounts"
    for namespace in (platform.namespace, platform.pipelines, platform.inference):
        yield json.dumps(platform.get(kinds, "--show-managed-fields", namespace=namespace))
    for pod in platform.get("pods"):
        yield platform.kubectl("logs", pod["metadata"]["name"], "--all-containers")
    for kept in platform.get("secrets", "--selector=owner=helm"):
        yield decompress(b64decode(b64decode(kept["data"]["release"]))).decode()
