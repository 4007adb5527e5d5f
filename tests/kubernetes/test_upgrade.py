"""A platform with data in it: upgraded to more replicas, hit, uninstalled, and installed again."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes import client, data, probes
from tests.kubernetes.cluster import CHART, RELEASE, Platform, command, image, installed, problems, wait_for
from tests.kubernetes.probes import Probe

BEFORE = "MODELYARD_TEST_IMAGE_BEFORE"
"""Names the image of an earlier version, where there is one: it is what is upgraded."""
HIGH_AVAILABILITY = CHART / "examples" / "high-availability.yaml"
SERVERS = ("zenml", "mlflow")

Say = Callable[[str], None]
Secrets = dict[tuple[str, str], dict[str, str]]
Counts = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    """The platform as it was before, with data in it."""
    with installed(images=image(BEFORE) if BEFORE in os.environ else None) as found:
        with data.opened(found) as servers:
            servers.put("of before")
        yield found


@pytest.fixture(scope="module")
def secrets(platform: Platform) -> Secrets:
    """As they were made at the installation."""
    return kept_secrets(platform)


def kept_secrets(platform: Platform) -> Secrets:
    return {
        (namespace, secret["metadata"]["name"]): secret["data"]
        for namespace in (platform.namespace, platform.pipelines, platform.inference)
        for secret in platform.get(
            "secrets", f"--selector=modelyard.dev/release={platform.release}", namespace=namespace
        )
    }


@contextmanager
def asking(platform: Platform) -> Iterator[Counts]:
    """While a pod among those of pipelines asks both servers all the time: its counts, final at the end."""
    program = Path(client.__file__).read_text()
    secrets = {"REQUESTS": json.dumps(requests(platform))}
    role = {"modelyard.dev/role": "step"}
    counts: Counts = {}

    def count() -> bool:
        counts.update(json.loads(platform.in_pipelines("logs", "client", "--tail=1") or "{}"))
        return counts != {} and all(each["answered"] for each in counts.values())

    with probes.started(
        platform, Probe(platform.pipelines, "client", role, program=program, secrets=secrets)
    ):
        wait_for(count, "an answer to each request")
        yield counts
        count()


def requests(platform: Platform) -> dict[str, tuple[str, dict[str, str]]]:
    """With a login and without."""
    password = platform.secret("login")["password"]
    with platform.forwarded("zenml", 8237) as url:
        token = {"Authorization": f"Bearer {data.login(url, password)}"}
    basic = {"Authorization": f"Basic {b64encode(f'default:{password}'.encode()).decode()}"}
    host = f"{platform.namespace}.svc"
    zenml, mlflow = f"http://{RELEASE}-zenml.{host}:8237", f"http://{RELEASE}-mlflow.{host}:5000"
    return {
        "ZenML's /ready": (f"{zenml}/ready", {}),
        "ZenML's secrets": (f"{zenml}/api/v1/secrets", token),
        "MLflow's /ready": (f"{mlflow}/ready", {}),
        "MLflow's experiments": (f"{mlflow}/api/2.0/mlflow/experiments/search?max_results=10", basic),
    }


def answered(counts: Counts) -> str:
    return ", ".join(f"{name} {count['answered']}" for name, count in counts.items())


def failures(counts: Counts) -> list[str]:
    return [f"{name}: {each}" for name, count in counts.items() for each in count["failures"]]


@pytest.fixture(scope="module")
def upgraded(platform: Platform, secrets: Secrets) -> Counts:
    """Of the requests while it became what it is now."""
    with asking(platform) as counts:
        platform.images = image()
        platform.values = (f"--values={HIGH_AVAILABILITY}",)
        platform.helm("upgrade")
        settle(platform)
    return counts


def settle(platform: Platform) -> None:
    """Wait until two of each server are ready and none is on its way out."""

    def settled() -> bool:
        pods = [pod for name in SERVERS for pod in platform.servers(name)]
        return len(pods) == 4 and not problems(pods)

    wait_for(settled, "two of each server ready, and no other")


def test_an_upgrade_to_two_of_each_server_fails_no_request(upgraded: Counts, say: Say) -> None:
    say(f"answered during the upgrade: {answered(upgraded)}")
    assert all(count["answered"] > 5 for count in upgraded.values())
    assert failures(upgraded) == []


def test_after_an_upgrade_the_data_are_there_and_the_secrets_as_they_were(
    upgraded: Counts, platform: Platform, secrets: Secrets
) -> None:
    assert kept_secrets(platform) == secrets
    assert len(secrets) == 11
    with data.opened(platform) as servers:
        assert servers.holds("of before")
        servers.put("of afterwards")
        assert servers.holds("of afterwards")


def test_one_replica_of_each_killed_loses_no_request_that_is_made_again(
    upgraded: Counts, platform: Platform, say: Say
) -> None:
    with asking(platform) as counts:
        killed = {platform.servers(name)[0]["metadata"]["name"] for name in SERVERS}
        platform.kubectl("delete", "pod", "--grace-period=0", "--force", *killed)
        settle(platform)
    assert not killed & {pod["metadata"]["name"] for name in SERVERS for pod in platform.servers(name)}
    say(f"answered while a replica of each was killed: {answered(counts)}; failed first: {failures(counts)}")
    assert all(count["answered"] > 5 for count in counts.values())
    assert all(count["lost"] == 0 for count in counts.values())


@pytest.fixture(scope="module")
def uninstalled(upgraded: Counts, platform: Platform) -> str:
    """What Helm said."""
    return command("helm", "uninstall", platform.release, "--namespace", platform.namespace, "--wait")


def test_uninstalling_leaves_what_holds_data_and_says_so(
    uninstalled: str, platform: Platform, secrets: Secrets
) -> None:
    for kept in (platform.pipelines, platform.inference, f"{platform.release}-s3"):
        assert kept in uninstalled
    volumes = {claim["metadata"]["name"] for claim in platform.get("pvc")}
    assert volumes == {f"data-{platform.release}-postgresql-0", f"{platform.release}-s3"}
    assert kept_secrets(platform) == secrets
    for namespace in (platform.pipelines, platform.inference):
        assert platform.get("namespace", namespace)[0]["status"]["phase"] == "Active"


@pytest.fixture(scope="module")
def again(uninstalled: str, platform: Platform) -> Platform:
    """Installed once more, on what was left."""
    platform.helm("install")
    return platform


def test_installed_again_it_has_the_same_data_and_the_same_password(
    again: Platform, secrets: Secrets
) -> None:
    assert kept_secrets(again) == secrets
    with data.opened(again) as servers:
        assert servers.holds("of before")
        assert servers.holds("of afterwards")


def test_what_the_notes_say_to_delete_deletes_the_rest(again: Platform) -> None:
    notes = command("helm", "get", "notes", again.release, "--namespace", again.namespace)
    lines = [line.strip() for line in notes.splitlines() if " delete " in line and line.startswith("    ")]
    assert len(lines) == 2
    command("helm", "uninstall", again.release, "--namespace", again.namespace, "--wait")
    for line in lines:
        command(*line.split())
    wait_for(lambda: not again.get("deployments,statefulsets,jobs,cronjobs,services,pods,pvc"), "all gone")
    assert kept_secrets(again) == {}
    for namespace in (again.pipelines, again.inference):
        assert "NotFound" in again.kubectl("get", "namespace", namespace, check=False)
