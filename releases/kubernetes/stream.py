"""Workers of a stream in a cluster: the files in k8s/stream for one use case, with the model that serves.

A release moves them to its model by their images alone: whatever else was asked for stays as it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeAlias

from errors import ReleaseError, UsageError
from releases.earlier import serving
from releases.kubernetes import manifests
from releases.kubernetes.lease import Lease, held
from releases.kubernetes.manifests import BENTO, MODEL, VERSION, Manifest
from releases.kubernetes.objects import Objects
from settings import PROJECT

if TYPE_CHECKING:
    from db.recorded import Recorded
    from releases.kubernetes.objects import Live, Secret
    from releases.kubernetes.place import Place
    from releases.kubernetes.release import Wanted

    Release: TypeAlias = Recorded | Wanted
    Broker: TypeAlias = Mapping[str, str | None]

FOLDER = PROJECT / "k8s" / "stream"
KAFKA = "modelyard-kafka"
"""Secret with the broker, which all streams of a namespace share."""
WORKER = "worker"
"""Component, and container, of the pods."""
_NAME = "stream"
"""What stands in the files for the name."""
_ASKED = "modelyard.dev/asked"
"""Annotation that is another one once arguments or the Secret are: pods read them when they begin."""
_RELEASES = "modelyard-release"
"""Field manager of what a release changes: what it does not name stays as the command applied it."""
_PORTS = {9092, 9093}
"""Of brokers, which the files open."""


@dataclass(frozen=True)
class Workers:
    """What workers are to be like."""

    arguments: Sequence[str] = ()
    """Of `stream`, besides those in the files."""
    count: int | None = None
    """None: as many as the autoscaler finds right."""


def deploy(place: Place, use_case: str, workers: Workers, broker: Broker | None) -> None:
    """Run a stream of what serves, in place of the one that there is, and return once its workers are ready.

    The Secret with the broker is made to hold `broker` first; without one it is left as it is.

    Raises:
        ReleaseError: nothing serves, a worker does not get ready, or a release is under way.
        UsageError: there is no such Secret, and no `broker` to make it of.
    """
    with _held(place, use_case) as lease:
        now, objects = serves(place, use_case), _objects(place, use_case)
        secret = _secret(objects, broker)
        objects.apply(render(place, now, workers, secret.values["address"], secret.version))
        if workers.count is not None:
            objects.scale(objects.name, workers.count)
        _wait(place, objects, now, lease.require)


def move(place: Place, release: Wanted, require: Callable[[], None]) -> None:
    """Let the stream of a use case score by a release.

    `require` is called while workers are waited for, and raises when they are to be no longer.

    Raises:
        ReleaseError: they do not get ready; those of before work on.
    """
    objects = _objects(place, release.use_case)
    template = {
        "metadata": {"labels": {}},
        "spec": {"initContainers": [{"name": MODEL}], "containers": [{"name": WORKER}]},
    }
    part = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": objects.name},
        "spec": {"template": _scored_by(template, place, release)},
    }
    objects.apply([part], _RELEASES)
    _wait(place, objects, release, require)


def remove(place: Place, use_case: str) -> bool:
    """Delete all that `deploy` applied but the Secret; whether there was anything of it.

    PostgreSQL keeps its place in the topics: deployed again, it goes on there.

    Raises:
        ReleaseError: a release is under way.
    """
    objects, files = _objects(place, use_case), reversed(manifests.read(FOLDER, {}))
    with _held(place, use_case):
        there = [objects.delete(objects.name, each["kind"], each["apiVersion"]) for each in files]
    return any(there)


def look(place: Place, use_case: str) -> Live | None:
    """What the stream of a use case runs, or None where there is none."""
    objects = _objects(place, use_case)
    return objects.live(objects.name)


def serves(place: Place, use_case: str) -> Recorded:
    """The release that serves.

    Raises:
        ReleaseError: there is none.
    """
    from releases.kubernetes.release import TARGET

    found = serving(place.records.history(use_case, TARGET))
    if found is None:
        raise ReleaseError(
            f"Nothing of {use_case} serves in {place.namespace}, so there is no model to score by: "
            f"python run.py --stack kubernetes release {use_case}"
        )
    return found


def address_of(place: Place, use_case: str, broker: Broker | None) -> str:
    """Where the broker is, by `broker` or by the Secret.

    Raises:
        UsageError: neither is there.
    """
    return str(broker["address"]) if broker else _secret(_objects(place, use_case), None).values["address"]


def render(
    place: Place, release: Release, workers: Workers, address: str, secret: str | None = None
) -> list[Manifest]:
    """All objects of a stream, in the order in which they are applied.

    `address` is the broker's, whose ports are let through; `secret` is the version of the Secret with it.
    """
    found = manifests.read(FOLDER, {_NAME: manifests.stream_name(release.use_case)})
    for manifest in found:
        manifest["metadata"]["namespace"] = place.namespace
        spec = manifest.get("spec", {})
        if manifest["kind"] == "ServiceAccount" and place.pull_secrets:
            manifest["imagePullSecrets"] = [{"name": name} for name in place.pull_secrets]
        if manifest["kind"] == "NetworkPolicy":
            ports = {int(port) for port in re.findall(r":(\d+)(?:,|$)", address)} - _PORTS
            spec["egress"] += [{"ports": [{"protocol": "TCP", "port": port}]} for port in sorted(ports)]
        if manifest["kind"] == "HorizontalPodAutoscaler" and workers.count is not None:
            spec["minReplicas"] = spec["maxReplicas"] = workers.count
        if manifest["kind"] == "Deployment":
            _scored_by(spec["template"], place, release)
            (worker,) = spec["template"]["spec"]["containers"]
            worker["args"] += workers.arguments
            worker["env"][0]["value"] = release.use_case
            asked = sha256(json.dumps([worker["args"], secret]).encode()).hexdigest()
            spec["template"]["metadata"]["annotations"][_ASKED] = asked[:12]
    return found


def _scored_by(template: dict[str, Any], place: Place, release: Release) -> dict[str, Any]:
    """The pods' template, in which all that another release changes is changed."""
    template["metadata"]["labels"][VERSION] = str(release.model_version)
    template["metadata"].setdefault("annotations", {})[BENTO] = release.bento
    for containers, image in (("initContainers", release.image), ("containers", place.image)):
        (container,) = template["spec"][containers]
        container["image"] = image
    return template


def _objects(place: Place, use_case: str) -> Objects:
    name = manifests.stream_name(use_case)
    return Objects(place.api, place.namespace, name, "k8s/stream/deployment.yaml")


def _secret(objects: Objects, broker: Broker | None) -> Secret:
    found = objects.secret(KAFKA, broker)
    if found is None or "address" not in found.values:
        raise UsageError(
            f"Nothing says where Kafka is: set MODELYARD_KAFKA, or make the Secret {KAFKA} in "
            f"{objects.namespace} with the key `address`, such as broker.kafka.svc:9092."
        )
    return found


def _held(place: Place, use_case: str) -> AbstractContextManager[Lease]:
    """Keep releases of the use case, and others who change its stream, from doing so meanwhile."""
    return held(place.api, place.namespace, manifests.name_of(use_case), f"{place.by} (stream)")


def _wait(place: Place, objects: Objects, release: Release, require: Callable[[], None]) -> None:
    live = objects.live(objects.name)
    # One after the other gets ready: each change moves partitions.
    seconds = place.ready_seconds * max(1, live.replicas if live else 1)
    objects.wait(objects.name, WORKER, str(release.image), seconds, require)
