"""Where the parts of a cluster's platform are, as the chart wrote it down in its ConfigMap."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from errors import StackError

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

NAME = "modelyard-connection"
"""The ConfigMap's name, in the namespace that the chart was installed in."""


class Connection(BaseModel):
    """Addresses as pods of the cluster see them, and names; no secret."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=lambda field: field.replace("_", "-"),
        populate_by_name=True,
    )

    zenml_url: str = Field(min_length=1)
    mlflow_url: str = Field(min_length=1)
    s3_endpoint: str = ""
    """Empty: Amazon's own."""
    zenml_external_url: str = ""
    """Where machines outside the cluster find it; empty: by forwarding a port."""
    mlflow_external_url: str = ""
    s3_external_endpoint: str = ""
    s3_region: str = "us-east-1"
    bucket: str = Field(min_length=1)
    registry: str = ""
    """Empty: images have no registry in their names, which nodes take for Docker Hub's library."""
    image: str = Field(min_length=1)
    """What pipeline pods run."""
    serving_image: str = Field(min_length=1)
    """What endpoints run on."""
    registry_secret: str = ""
    """Secret in the pipelines' namespace with the login of its registry; empty: none is needed."""
    registry_insecure: bool = False
    """Whether that registry speaks plain HTTP."""
    image_pull_secrets: str = ""
    """Names of Secrets in the endpoints' namespace, separated by commas."""
    gateways: str = "[]"
    """JSON list of `parentRefs`: Gateways that lead to endpoints."""
    endpoints_hostname: str = ""
    """By which they do; empty: by any."""
    namespace: str = Field(min_length=1)
    """Where the chart is installed."""
    pipelines_namespace: str = Field(min_length=1)
    inference_namespace: str = Field(min_length=1)
    orchestrator_service_account: str = Field(min_length=1)
    step_service_account: str = Field(min_length=1)
    login_secret: str = Field(min_length=1)
    s3_secret: str = Field(min_length=1)
    alerts_secret: str = ""
    """Secret in the pipelines' namespace with the URLs of those whom pods tell; empty: nobody."""
    alerts_key: str = "urls"
    ingestion_secret: str = ""
    """Secret in the pipelines' namespace with the login that loads and exports data; empty: none does."""


def read(api: ApiClient, namespace: str) -> Connection:
    """What the chart installed in `namespace`.

    Raises:
        StackError: the cluster does not answer, or has no such thing there, or one of another version.
    """
    from kubernetes.client import CoreV1Api

    found = _ask(
        lambda: CoreV1Api(api).read_namespaced_config_map(NAME, namespace),
        missing=f"The namespace {namespace!r} has no ConfigMap {NAME}: the chart is not installed there. "
        f"Install it: helm install modelyard helm/modelyard --namespace {namespace}; "
        "or say where it is: MODELYARD_KUBE_NAMESPACE, MODELYARD_KUBE_CONTEXT.",
    )
    try:
        return Connection.model_validate(found.data or {})
    except ValidationError as error:
        wrong = ", ".join(str(problem["loc"][0]) for problem in error.errors())
        raise StackError(
            f"The ConfigMap {NAME} in {namespace!r} lacks {wrong}: the chart there is of another version "
            "than this project. Upgrade it: helm upgrade modelyard helm/modelyard"
        ) from None


def secret(api: ApiClient, namespace: str, name: str) -> dict[str, str]:
    """The values of a Secret.

    Raises:
        StackError: there is none, or this user may not read it.
    """
    from kubernetes.client import CoreV1Api

    found = _ask(
        lambda: CoreV1Api(api).read_namespaced_secret(name, namespace),
        missing=f"The namespace {namespace!r} has no Secret {name}, which Modelyard's chart names; "
        "make it, or upgrade the chart.",
    )
    return {key: b64decode(value).decode() for key, value in (found.data or {}).items()}


def _ask(question: Any, *, missing: str) -> Any:
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    try:
        return question()
    except ApiException as error:
        if error.status == 404:
            raise StackError(missing) from None
        raise StackError(refusal(error)) from None
    except HTTPError as error:
        raise StackError(f"The cluster's API server does not answer: {error}") from None


def refusal(error: Any) -> str:
    """What the API server said, in a sentence."""
    import json

    try:
        message = json.loads(error.body)["message"]
    except (TypeError, ValueError, KeyError):
        message = error.reason
    return f"The cluster refuses ({error.status}): {message}"
