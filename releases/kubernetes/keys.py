"""API keys of an endpoint in a cluster: a Secret beside it, whose one entry is what serving/keys.py reads."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from errors import ReleaseError
from releases.kubernetes.manifests import NAME, keys_name, name_of
from stacks.kubernetes import cluster, connection

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api

    from settings import Settings

ENTRY = "keys"
_TRIES = 10


def read(settings: Settings, use_case: str) -> str:
    """The text with the keys; empty: there is no Secret.

    Raises:
        StackError: the cluster does not answer, or the platform is not installed in it.
        ReleaseError: it refuses.
    """
    api, namespace = _there(settings)
    return _text(_ask(lambda: api.read_namespaced_secret(keys_name(use_case), namespace)))


def change(settings: Settings, use_case: str, make: Callable[[str], str]) -> None:
    """Replace the text by what `make` makes of it; asked again when somebody else changed it meanwhile.

    Raises:
        StackError: the cluster does not answer, or the platform is not installed in it.
        ReleaseError: it refuses.
        UsageError: `make` refused; nothing was changed.
    """
    api, namespace = _there(settings)
    name = keys_name(use_case)
    for _ in range(_TRIES):
        found = _ask(lambda: api.read_namespaced_secret(name, namespace))
        metadata: dict[str, Any] = {
            "name": name,
            "labels": {NAME: name_of(use_case), "app.kubernetes.io/part-of": "modelyard"},
        }
        body = {"metadata": metadata, "stringData": {ENTRY: make(_text(found))}}
        if found is None:
            done = _ask(lambda: api.create_namespaced_secret(namespace, body))  # noqa: B023 - called at once
        else:
            # Of two who read the same one, the second one's is refused by it.
            metadata["resourceVersion"] = found.metadata.resource_version
            done = _ask(lambda: api.replace_namespaced_secret(name, namespace, body))  # noqa: B023
        if done is not None:
            return
    raise ReleaseError(
        f"Others changed the Secret {name} in {namespace} {_TRIES} times meanwhile; try again."
    )


def _there(settings: Settings) -> tuple[CoreV1Api, str]:
    """The cluster's Secrets, and the namespace of its endpoints."""
    from kubernetes.client import CoreV1Api

    client = cluster.client(settings.kube_context)
    return CoreV1Api(client), connection.read(client, settings.kube_namespace).inference_namespace


def _text(secret: Any) -> str:
    return b64decode(secret.data[ENTRY]).decode() if secret is not None and secret.data else ""


def _ask(question: Callable[[], Any]) -> Any:
    """The answer; None: it is not there, or another one than was read."""
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    try:
        return question()
    except ApiException as error:
        if error.status in (404, 409):
            return None
        raise ReleaseError(connection.refusal(error)) from None
    except HTTPError as error:
        raise ReleaseError(f"The cluster's API server does not answer: {error}") from None
