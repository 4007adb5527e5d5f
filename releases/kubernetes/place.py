"""Where a release in a cluster happens: found out in a pod or by a person's command, and reached."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from db.releases import person
from releases.kubernetes.manifests import name_of
from releases.records import Records
from stacks.kubernetes import cluster, connection
from stacks.kubernetes.cluster import in_pod
from stacks.kubernetes.forward import forwarded

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

    from settings import Settings
    from stacks.kubernetes.cluster import Cluster
    from stacks.kubernetes.connection import Connection

READY_SECONDS = 120.0
"""So long pods may take to get ready, pulling the image included."""
PORT = 3000


@dataclass(frozen=True)
class Place:
    """Where endpoints run, who writes down what becomes of them, and on whose behalf."""

    api: ApiClient
    namespace: str
    records: Records
    by: str
    """user@host"""
    context: str | None = None
    """kubectl's, outside the cluster."""
    image: str = ""
    """The platform's own, which workers of streams run."""
    pull_secrets: tuple[str, ...] = ()
    gateways: tuple[Mapping[str, Any], ...] = ()
    """`parentRefs` of the Gateways that lead to endpoints."""
    hostname: str = ""
    """By which they do; empty: by any."""
    ready_seconds: float = READY_SECONDS


def in_this_cluster() -> tuple[ApiClient, Connection]:
    """The API server of the cluster that this pod is in, and what the chart wrote down there.

    Raises:
        StackError: it does not answer, or refuses.
    """
    from settings import Settings

    api = cluster.client(None)
    return api, connection.read(api, Settings().kube_namespace)


def place_of_this_pod(by: str) -> Place:
    """The place of a step's release; `by` is who started the run.

    Raises:
        StackError: the cluster does not answer, or refuses.
    """
    api, there = in_this_cluster()
    return _place(api, there, Records.of_environment(), by, None)


def place_of(settings: Settings) -> Place:
    """The place of a command; the record of releases is reached through MLflow's server.

    Raises:
        StackError: the cluster or its platform does not answer.
    """
    return place_in(cluster.connect(settings, needs=("MLflow",)), settings.kube_context)


def place_in(found: Cluster, context: str | None) -> Place:
    """The same in a cluster whose MLflow is within reach already; `context` is kubectl's."""
    login = connection.secret(found.api, found.namespace, found.connection.login_secret)
    records = Records(found.mlflow, login["username"], login["password"])
    return _place(found.api, found.connection, records, person(), context)


def address(place: Place, use_case: str) -> str:
    """URL of the endpoint for everybody in the cluster."""
    return f"http://{name_of(use_case)}.{place.namespace}.svc"


@contextmanager
def reach(place: Place, pod: Any) -> Iterator[str]:
    """URL of a pod for this process."""
    if in_pod():
        ip = pod.status.pod_ip
        yield f"http://{f'[{ip}]' if ':' in ip else ip}:{PORT}"
    else:
        target = f"http://{pod.metadata.name}.{place.namespace}.pod:{PORT}"
        with forwarded(target, place.context) as url:
            yield url


def _place(api: ApiClient, there: Connection, records: Records, by: str, context: str | None) -> Place:
    secrets = tuple(name for name in there.image_pull_secrets.split(",") if name)
    return Place(
        api=api,
        namespace=there.inference_namespace,
        records=records,
        by=by,
        context=context,
        image=there.image,
        pull_secrets=secrets,
        gateways=tuple(json.loads(there.gateways)),
        hostname=there.endpoints_hostname,
    )
