"""A command's connection to a cluster: its API server, and ZenML, MLflow and S3, each within reach."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from errors import StackError
from stacks.kubernetes import connection
from stacks.kubernetes.connection import Connection
from stacks.kubernetes.forward import Forward, forward

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

    from settings import Settings


@dataclass(frozen=True)
class Cluster:
    """What a command works on."""

    api: ApiClient
    namespace: str
    """Where the chart was installed."""
    connection: Connection
    zenml: str
    """ZenML's server, as this process reaches it; empty: not asked for."""
    mlflow: str
    s3: str
    """Empty: Amazon's own, or not asked for."""

    def environment(self) -> dict[str, str]:
        """What ZenML, MLflow and S3 clients of this process need, the logins included."""
        login = connection.secret(self.api, self.namespace, self.connection.login_secret)
        keys = connection.secret(self.api, self.namespace, self.connection.s3_secret)
        return {
            "ZENML_STORE_URL": self.zenml,
            "ZENML_STORE_USERNAME": login["username"],
            "ZENML_STORE_PASSWORD": login["password"],
            # Ports that are forwarded differ from command to command, so what was kept would not be found.
            "ZENML_DISABLE_CREDENTIALS_DISK_CACHING": "true",
            "MLFLOW_TRACKING_URI": self.mlflow,
            # Seconds. MLflow waits for two minutes, seven times, where a forwarded port has lost its pod.
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
            "MLFLOW_TRACKING_USERNAME": login["username"],
            "MLFLOW_TRACKING_PASSWORD": login["password"],
            "AWS_ACCESS_KEY_ID": keys["access-key"],
            "AWS_SECRET_ACCESS_KEY": keys["secret-key"],
            "AWS_REGION": self.connection.s3_region,
            "AWS_DEFAULT_REGION": self.connection.s3_region,
            **({"AWS_ENDPOINT_URL_S3": self.s3} if self.s3 else {}),
        }


def connect(settings: Settings, needs: Sequence[str] = ("ZenML", "MLflow", "S3")) -> Cluster:
    """The cluster of the settings' context, and those parts of its platform that are needed within reach.

    In a pod that is the cluster it runs in. Elsewhere addresses that the chart gives for the outside are
    taken, and for those that it doesn't, ports are forwarded.

    Raises:
        StackError: the cluster does not answer, or the platform is not installed in it.
    """
    api = client(settings.kube_context)
    there = connection.read(api, settings.kube_namespace)

    parts = {
        "ZenML": (there.zenml_url, there.zenml_external_url),
        "MLflow": (there.mlflow_url, there.mlflow_external_url),
        "S3": (there.s3_endpoint, there.s3_external_endpoint),
    }
    found = _reach({part: parts[part] for part in needs}, settings.kube_context)
    return Cluster(
        api=api,
        namespace=settings.kube_namespace,
        connection=there,
        zenml=found.get("ZenML", ""),
        mlflow=found.get("MLflow", ""),
        s3=found.get("S3", ""),
    )


def _reach(parts: dict[str, tuple[str, str]], context: str | None) -> dict[str, str]:
    """An address of each part for this process; given are its addresses inside and outside."""

    def begin(inside: str, outside: str) -> str | Forward:
        if not inside or in_pod():
            return inside
        return outside or forward(inside, context)

    # All begin before the first is waited for.
    begun = {part: begin(*addresses) for part, addresses in parts.items()}
    addresses, wrong = {}, []
    for part, found in begun.items():
        try:
            addresses[part] = found if isinstance(found, str) else found.address()
        except StackError as error:
            wrong.append(f"  {part}: {error}")
    if wrong:
        raise StackError("The cluster's platform is out of reach:\n" + "\n".join(wrong))
    return addresses


def client(context: str | None) -> ApiClient:
    """A client of the API server: in a pod by its service account, else by the kubeconfig's context.

    Raises:
        StackError: there is no kubeconfig, or no such context in it.
    """
    from kubernetes import config
    from kubernetes.client import ApiClient, Configuration

    chosen = Configuration()
    try:
        if in_pod():
            config.load_incluster_config(client_configuration=chosen)
        else:
            config.load_kube_config(context=context, client_configuration=chosen)
    except config.ConfigException as error:
        raise StackError(
            f"No cluster to connect to: {error} kubectl's configuration is read from $KUBECONFIG or "
            "~/.kube/config; MODELYARD_KUBE_CONTEXT names another of its contexts."
        ) from None
    # One try more, quickly: by itself it would try for minutes to reach a cluster that is off.
    chosen.retries = 1
    return ApiClient(chosen)


def in_pod() -> bool:
    """Whether this process runs in a pod that may ask its cluster."""
    return "KUBERNETES_SERVICE_HOST" in os.environ
