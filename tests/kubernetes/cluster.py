"""A real cluster, and the platform that the chart installs in it, for tests that walk whole ways.

Any cluster that `kubectl` reaches will do, whose nodes can pull what was pushed to the registry: nothing here
knows one by name. `make test-kubernetes` builds and pushes the images and says which they are.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from settings import PROJECT
from tests.integration.command_line import CommandLine

CHART = PROJECT / "helm" / "modelyard"
RELEASE = "modelyard"
SUBMITTERS = "scientists"
"""A group of people who work with the platform that all tests share."""


def command(*arguments: str, check: bool = True, stdin: str | None = None) -> str:
    """What a program prints; it must succeed, unless `check` is false: then what it says of its failure."""
    done = subprocess.run(arguments, capture_output=True, text=True, input=stdin, check=False)
    if check:
        assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout}{done.stderr}"
        return done.stdout
    return done.stdout + done.stderr


def wait_for(
    condition: Callable[[], Any], what: str | Callable[[], str], seconds: float = 120, pause: float = 0.5
) -> Any:
    """The first true answer of `condition`; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        if time.monotonic() > end:
            raise AssertionError(
                f"within {seconds:.0f} s not seen: {what if isinstance(what, str) else what()}"
            )
        time.sleep(pause)


@dataclass
class Platform:
    """What `helm install` made in three namespaces of this test's own."""

    namespace: str
    images: dict[str, str]
    """Helm's `--set` for the image."""
    installed: float = 0.0
    """Seconds from `helm install` to every pod ready."""
    values: tuple[str, ...] = field(default=())

    @property
    def release(self) -> str:
        """Its name, which its objects' names begin with."""
        return RELEASE

    @property
    def pipelines(self) -> str:
        return f"{self.namespace}-pipelines"

    @property
    def inference(self) -> str:
        return f"{self.namespace}-inference"

    def helm(self, verb: str, *arguments: str) -> str:
        """`helm install` or `helm upgrade` of the chart, which waits until all is ready."""
        settings = self.images | {
            "pipelines.namespace": self.pipelines,
            "inference.namespace": self.inference,
        }
        options = [f"--set={key}={value}" for key, value in settings.items()]
        return command(
            "helm", verb, RELEASE, str(CHART), "--namespace", self.namespace, "--wait", "--timeout=300s",
            *options, *self.values, *arguments,
        )  # fmt: skip

    def kubectl(self, *arguments: str, check: bool = True, stdin: str | None = None) -> str:
        """kubectl in the platform's namespace."""
        return command("kubectl", "--namespace", self.namespace, *arguments, check=check, stdin=stdin)

    def in_pipelines(self, *arguments: str, check: bool = True, stdin: str | None = None) -> str:
        """kubectl in the namespace of pipelines' pods."""
        return command("kubectl", "--namespace", self.pipelines, *arguments, check=check, stdin=stdin)

    def get(self, kind: str, *arguments: str, namespace: str | None = None) -> list[dict[str, Any]]:
        """Objects of a kind."""
        found = command(
            "kubectl", "--namespace", namespace or self.namespace, "get", kind, *arguments, "--output=json"
        )
        document = json.loads(found)
        items: list[dict[str, Any]] = document.get("items", [document])
        return items

    def servers(self, name: str) -> list[dict[str, Any]]:
        """Pods of a part of the platform, such as `zenml`, also those that are on their way out."""
        return self.get("pods", f"--selector=app.kubernetes.io/component={name}")

    def secret(self, name: str) -> dict[str, str]:
        """The values of one of the release's Secrets, such as `login`."""
        (found,) = self.get("secret", f"{self.release}-{name}")
        return {key: b64decode(value).decode() for key, value in found["data"].items()}

    @contextmanager
    def forwarded(self, name: str, port: int) -> Iterator[str]:
        """URL, on this machine, of one of the release's Services or, by `pod/NAME`, of a pod."""
        target = name if "/" in name else f"service/{self.release}-{name}"
        line = ("kubectl", "--namespace", self.namespace, "port-forward", target, f":{port}")
        with forwarding(line) as url:
            yield url

    def command_line(self, home: Path, **settings: str) -> CommandLine:
        """`python run.py …` of somebody who works with this platform."""
        return CommandLine(home, 3000, MODELYARD_KUBE_NAMESPACE=self.namespace, **settings)


def image(variable: str = "MODELYARD_TEST_IMAGE") -> dict[str, str]:
    """Helm's `--set` for the images, of which an environment variable names one, and for their registry."""
    repository, _, tag = os.environ[variable].rpartition(":")
    registry = repository.partition("/")[0]
    port = urlsplit(f"//{registry}").port or 443
    egress = "networkPolicy.pipelinesEgress[0].ports[0]"
    return {
        "image.repository": repository,
        "image.tag": tag,
        "servingImage.repository": f"{repository}-serving",
        "servingImage.tag": tag,
        "registry.insecure": json.dumps(not speaks_tls(registry)),
        f"{egress}.port": str(port),
        f"{egress}.protocol": "TCP",
    }


@cache
def speaks_tls(registry: str) -> bool:
    """Whether a registry, `HOST:PORT`, speaks HTTPS."""
    try:
        httpx.get(f"https://{registry}/v2/", timeout=10)
    except httpx.ConnectError:
        return False
    return True


@contextmanager
def forwarding(line: Sequence[str]) -> Iterator[str]:
    """While a `kubectl port-forward` runs: the URL on this machine."""
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            match = re.match(r"Forwarding from 127\.0\.0\.1:(\d+) ->", said)
            assert match, f"{' '.join(line)}\n{said}"
            yield f"http://127.0.0.1:{match[1]}"
        finally:
            process.terminate()


@contextmanager
def installed(*values: str, images: dict[str, str] | None = None) -> Iterator[Platform]:
    """The platform in new namespaces, which are gone afterwards with all that is in them."""
    namespace = f"my-{secrets.token_hex(3)}"
    platform = Platform(namespace, images or image(), values=values)
    command("kubectl", "create", "namespace", namespace)
    command("kubectl", "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    try:
        begin = time.monotonic()
        platform.helm("install")
        platform.installed = time.monotonic() - begin
        yield platform
    finally:
        command(
            "kubectl", "delete", "namespace", "--ignore-not-found", "--wait=false",
            namespace, platform.pipelines, platform.inference,
        )  # fmt: skip


def logged(platform: Platform, query: str) -> list[dict[str, Any]]:
    """Rows of a query of the project's database, asked by its owner where it runs."""
    found = platform.kubectl(
        "exec", f"{platform.release}-postgresql-0", "--", "psql", "--username=postgres", "--dbname=modelyard",
        "--tuples-only", "--no-align", f"--command=SELECT coalesce(json_agg(one), '[]') FROM ({query}) one",
    )  # fmt: skip
    rows: list[dict[str, Any]] = json.loads(found)
    return rows


def problems(pods: Sequence[dict[str, Any]]) -> list[str]:
    """Pods that are neither ready nor done, by name."""
    wrong = []
    for pod in pods:
        conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
        if pod["status"]["phase"] != "Succeeded" and conditions.get("Ready") != "True":
            wrong.append(pod["metadata"]["name"])
    return wrong
