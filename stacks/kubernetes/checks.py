"""Whether each part of a cluster's platform answers, asked side by side, before anything is started."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx

from errors import StackError

if TYPE_CHECKING:
    from stacks.kubernetes.cluster import Cluster

SECONDS = 10


def require(cluster: Cluster) -> None:
    """All parts that a pipeline needs answer.

    Raises:
        StackError: what does not, a line each, with what it said.
    """
    checks: dict[str, Callable[[Cluster], str | None]] = {
        f"ZenML at {cluster.zenml}": _zenml,
        f"MLflow at {cluster.mlflow}": _mlflow,
        f"S3 at {cluster.s3 or 'AWS'}": _s3,
        f"Kubernetes, namespace {cluster.connection.pipelines_namespace}": _jobs,
    }
    with ThreadPoolExecutor(len(checks)) as pool:
        answers = pool.map(lambda check: check(cluster), checks.values())
        wrong = [f"  {part}: {said}" for part, said in zip(checks, answers, strict=True) if said]
    if wrong:
        raise StackError(
            "The cluster's platform cannot be used:\n" + "\n".join(wrong) + "\n"
            f"Look at it: kubectl --namespace {cluster.namespace} get pods"
        )


def _zenml(cluster: Cluster) -> str | None:
    return _get(f"{cluster.zenml}/ready")


def _mlflow(cluster: Cluster) -> str | None:
    return _get(f"{cluster.mlflow}/ready")


def _get(url: str) -> str | None:
    try:
        answer = httpx.get(url, timeout=SECONDS)
    except httpx.HTTPError as error:
        return f"does not answer: {error or type(error).__name__}"
    return None if answer.is_success else f"answers {answer.status_code} {answer.reason_phrase}"


def _s3(cluster: Cluster) -> str | None:
    from boto3.session import Session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    patience = Config(connect_timeout=SECONDS, read_timeout=SECONDS, retries={"max_attempts": 1})
    try:
        Session().client("s3", config=patience).head_bucket(Bucket=cluster.connection.bucket)
    except ClientError as error:
        return f"the bucket {cluster.connection.bucket}: {error.response['Error'].get('Message')}"
    except BotoCoreError as error:
        return str(error)
    return None


def _jobs(cluster: Cluster) -> str | None:
    from kubernetes.client import (
        ApiException,
        AuthorizationV1Api,
        V1ResourceAttributes,
        V1SelfSubjectAccessReview,
        V1SelfSubjectAccessReviewSpec,
    )

    namespace = cluster.connection.pipelines_namespace
    wish = V1ResourceAttributes(namespace=namespace, verb="create", group="batch", resource="jobs")
    review = V1SelfSubjectAccessReview(spec=V1SelfSubjectAccessReviewSpec(resource_attributes=wish))
    try:
        answer = AuthorizationV1Api(cluster.api).create_self_subject_access_review(review)
    except ApiException as error:
        return f"answers {error.status} {error.reason}"
    if answer.status.allowed:
        return None
    return "you may not create Jobs there; ask for the chart's `submitters` to name you"
