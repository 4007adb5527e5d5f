"""Endpoints of the Titanic in a cluster: images of versions, good and bad, and requests all the time."""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

import usecases
from releases.kubernetes import image
from releases.kubernetes.manifests import FOLDER
from releases.kubernetes.release import Wanted
from serving.package import ModelPackage
from tests.integration.releases.titanic import USE_CASE, build
from tests.kubernetes import load, probes
from tests.kubernetes.cluster import Platform, command, forwarding, wait_for
from tests.kubernetes.probes import Probe

EXAMPLE = json.dumps(dict(usecases.load(USE_CASE).example))


@dataclass(frozen=True)
class Version:
    """A model version, and the image that is to serve it."""

    content: ModelPackage
    image: str
    bento: str

    @property
    def wanted(self) -> Wanted:
        """Asks for its release."""
        what = (self.content.use_case, self.content.model_version, self.bento, self.image)
        return Wanted(*what, "a test asked for it")


def version(
    platform: Platform,
    folder: Path,
    number: int,
    strength: float,
    changes: Mapping[str, str] | None = None,
) -> Version:
    """A version whose image is in the registry; `changes` are lines put into files of its Bento's code."""
    content, packed = build(folder, version=number, strength=strength)
    path = packed.path
    if changes:
        path = folder / f"changed-{number}"
        shutil.copytree(packed.path, path)
        for file, lines in changes.items():
            code = path / "src" / file
            first, found, rest = code.read_text().rpartition("from __future__ import annotations\n")
            code.write_text(f"{first}{found}{lines}\n{rest}")
    return publish(platform, content, packed.tag, path)


def publish(platform: Platform, content: ModelPackage, bento: str, path: Path) -> Version:
    """A version whose Bento is in `path`, its image put into the registry."""
    base = ":".join(platform.images[f"servingImage.{part}"] for part in ("repository", "tag"))
    insecure = platform.images["registry.insecure"] == "true"
    published = image.publish(path, base, insecure=insecure, labels={})
    return Version(content, published.reference, bento)


@dataclass
class Counts:
    """What became of the requests; final at the end of the load."""

    answered: int = 0
    versions: Mapping[str, int] | None = None
    failures: tuple[str, ...] = ()
    slowest: float = 0.0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        return (
            f"{self.answered} answered at {self.rate:.0f}/s by versions {self.versions}, "
            f"{len(self.failures)} failed, slowest {self.slowest * 1000:.0f} ms"
        )


@contextmanager
def asked(
    platform: Platform, *, rate: float, connections: int = 8, use_case: str = USE_CASE
) -> Iterator[Counts]:
    """While a pod beside the platform asks the endpoint `rate` times a second (0: as often as it can)."""
    name = "load"
    settings = {
        "url": f"http://{use_case}.{platform.inference}.svc/predict",
        "body": json.dumps(dict(usecases.load(use_case).example)),
        "rate": rate,
        "connections": connections,
    }
    program = Path(load.__file__).read_text()
    probe = Probe(outside(platform), name, program=program, secrets={"LOAD": json.dumps(settings)})
    counts = Counts()

    def count() -> bool:
        said = platform.kubectl("--namespace", outside(platform), "logs", name, "--tail=1")
        for key, value in json.loads(said or "{}").items():
            setattr(counts, key, value)
        return counts.answered > 0

    with probes.started(platform, probe):
        wait_for(count, lambda: f"an answer: {counts}")
        yield counts
        # One more line, so that what was asked last is in it.
        last = counts.seconds
        time.sleep(1)
        wait_for(lambda: count() and counts.seconds > last + 1, "the last counts")


@contextmanager
def callers(platform: Platform) -> Iterator[None]:
    """The namespace of callers."""
    command("kubectl", "create", "namespace", outside(platform))
    yield
    command("kubectl", "delete", "namespace", outside(platform), "--wait=false")


@contextmanager
def at(target: str, namespace: str, port: int = 80) -> Iterator[httpx.Client]:
    """An endpoint's Service, or by `pod/NAME` one of its pods, for requests from this machine.

    All requests go to one pod.
    """
    line = ("kubectl", "--namespace", namespace, "port-forward", target, f":{port}")
    with (
        forwarding(line) as url,
        httpx.Client(
            base_url=url, headers={"Content-Type": "application/json"}, trust_env=False, timeout=30
        ) as http,
    ):
        yield http


@contextmanager
def by_hand(
    platform: Platform, version: Version, folder: Path, *patch: Mapping[str, str]
) -> Iterator[httpx.Client]:
    """An endpoint by `kubectl apply -k` in a namespace of its own, its Deployment patched."""
    namespace = f"{platform.namespace}-by-hand-{secrets.token_hex(2)}"
    repository, _, tag = version.image.partition("@")[0].rpartition(":")
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["endpoint"],
        "namespace": namespace,
        "images": [{"name": "modelyard-endpoint", "newName": repository, "newTag": tag}],
        "patches": [{"target": {"kind": "Deployment"}, "patch": json.dumps(patch)}] if patch else [],
    }
    shutil.copytree(FOLDER, folder / "endpoint")
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    command("kubectl", "create", "namespace", namespace)
    command("kubectl", "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    try:
        command("kubectl", "apply", "--kustomize", str(folder))
        command(
            "kubectl", "--namespace", namespace, "rollout", "status", "deployment/endpoint", "--timeout=120s"
        )
        with at("service/endpoint", namespace) as http:
            yield http
    finally:
        command("kubectl", "delete", "namespace", namespace, "--wait=false")


def outside(platform: Platform) -> str:
    """A namespace of callers, which has nothing to do with the platform."""
    return f"{platform.namespace}-callers"


def pods(platform: Platform, component: str = "stable", use_case: str = USE_CASE) -> list[dict[str, Any]]:
    """Pods of the endpoint that are not on their way out."""
    selector = f"--selector=app.kubernetes.io/name={use_case},app.kubernetes.io/component={component}"
    found = platform.get("pods", selector, namespace=platform.inference)
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
