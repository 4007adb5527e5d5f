"""Where a release in a cluster happens: found out by a pod of a pipeline, or by a person's command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from db.releases import person
from releases.kubernetes.release import Place
from releases.records import Records
from stacks.kubernetes import cluster, connection

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

    from settings import Settings
    from stacks.kubernetes.connection import Connection


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
    found = cluster.connect(settings, needs=("MLflow",))
    login = connection.secret(found.api, found.namespace, found.connection.login_secret)
    records = Records(found.mlflow, login["username"], login["password"])
    return _place(found.api, found.connection, records, person(), settings.kube_context)


def _place(api: ApiClient, there: Connection, records: Records, by: str, context: str | None) -> Place:
    secrets = tuple(name for name in there.image_pull_secrets.split(",") if name)
    return Place(
        api=api,
        namespace=there.inference_namespace,
        records=records,
        by=by,
        context=context,
        pull_secrets=secrets,
        gateways=tuple(json.loads(there.gateways)),
        hostname=there.endpoints_hostname,
    )
