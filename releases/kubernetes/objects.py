"""Objects of an endpoint in a cluster: applied, looked at, deleted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from errors import ReleaseError
from releases.kubernetes.manifests import BENTO, COMPONENT, NAME, VERSION, name_of
from stacks.kubernetes.connection import refusal
from stacks.kubernetes.pods import trouble, without_pod

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

    from releases.kubernetes.manifests import Manifest

MANAGER = "modelyard"
"""Field manager of all that a release applies."""
SIZED_IN = "k8s/endpoint/deployment.yaml"
STABLE, CANARY = "stable", "canary"
_LOOK_SECONDS = 0.25
_PLURAL = {
    "ServiceAccount": "serviceaccounts",
    "NetworkPolicy": "networkpolicies",
    "Service": "services",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "Deployment": "deployments",
    "HTTPRoute": "httproutes",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers",
}


@dataclass(frozen=True)
class Live:
    """What a Deployment runs."""

    image: str
    model_version: int
    bento: str
    replicas: int
    complete: bool
    """Whether all of its pods are of this image, and ready."""


class Objects:
    """The endpoint of one use case in one namespace."""

    def __init__(self, api: ApiClient, namespace: str, use_case: str) -> None:
        self.api, self.namespace, self.name = api, namespace, name_of(use_case)

    def apply(self, manifests: Sequence[Manifest]) -> None:
        """Make the cluster match; fields that others set and the manifests do not name stay theirs.

        Raises:
            ReleaseError: the cluster refuses one.
        """
        for manifest in manifests:
            self._call(
                "PATCH",
                self._path(manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"]),
                body=manifest,
                query=[("fieldManager", MANAGER), ("force", "true")],
                content_type="application/apply-patch+yaml",
            )

    def scale(self, deployment: str, replicas: int) -> None:
        """Give a Deployment a size that no manifest of ours names."""
        self._call(
            "PATCH",
            f"{self._path('apps/v1', 'Deployment', deployment)}/scale",
            body={"spec": {"replicas": replicas}},
            content_type="application/merge-patch+json",
        )

    def delete(self, deployment: str) -> None:
        """Delete a Deployment, when it is there; its pods end as they do in any rollout."""
        self._call("DELETE", self._path("apps/v1", "Deployment", deployment), missing_ok=True)

    def live(self, deployment: str) -> Live | None:
        """What a Deployment runs, or None when there is none.

        Raises:
            ReleaseError: the cluster does not answer, or refuses.
        """
        found = self._call("GET", self._path("apps/v1", "Deployment", deployment), missing_ok=True)
        if found is None:
            return None
        template, status = found["spec"]["template"], found.get("status", {})
        replicas = found["spec"].get("replicas", 1)
        # As `kubectl rollout status` counts.
        complete = status.get("observedGeneration", 0) >= found["metadata"]["generation"] and all(
            status.get(count, 0) == replicas for count in ("replicas", "updatedReplicas", "availableReplicas")
        )
        return Live(
            image=template["spec"]["containers"][0]["image"],
            model_version=int(template["metadata"]["labels"].get(VERSION, 0)),
            bento=template["metadata"].get("annotations", {}).get(BENTO, ""),
            replicas=replicas,
            complete=complete,
        )

    def pods(self, component: str, image: str | None = None) -> list[Any]:
        """Pods (V1Pod) of the Deployment that are not on their way out; of one image, or of all."""
        from kubernetes.client import ApiException, CoreV1Api

        selector = f"{NAME}={self.name},{COMPONENT}={component}"
        try:
            found = CoreV1Api(self.api).list_namespaced_pod(self.namespace, label_selector=selector).items
        except ApiException as error:
            raise ReleaseError(refusal(error)) from None
        return [
            pod
            for pod in found
            if pod.metadata.deletion_timestamp is None
            and (image is None or pod.spec.containers[0].image == image)
        ]

    def wait(
        self, deployment: str, component: str, image: str, seconds: float, meanwhile: Callable[[], None]
    ) -> list[Any]:
        """Return the pods of a Deployment once all are of `image` and ready.

        Raises:
            ReleaseError: one of them cannot get ready, or they took more than `seconds`; it says why.
        """
        deadline = time.monotonic() + seconds
        while True:
            meanwhile()
            live = self.live(deployment)
            if live is not None and live.complete and live.image == image:
                return self.pods(component, image)
            pods = self.pods(component, image)
            for pod in pods:
                found = trouble(pod, sized_in=SIZED_IN)
                if found is not None and found.final:
                    raise ReleaseError(f"The pod {pod.metadata.name} {found.reason}.{self._log(pod)}")
            if time.monotonic() > deadline:
                raise ReleaseError(self._why_late(deployment, pods, seconds))
            time.sleep(_LOOK_SECONDS)

    def _why_late(self, deployment: str, pods: Sequence[Any], seconds: float) -> str:
        for pod in pods:
            found = trouble(pod, self._events(f"involvedObject.uid={pod.metadata.uid}"), sized_in=SIZED_IN)
            if found is not None:
                return f"After {seconds:.0f} s the pod {pod.metadata.name} {found.reason}."
            if not is_ready(pod):
                return f"The pod {pod.metadata.name} was not ready after {seconds:.0f} s.{self._log(pod)}"
        refused = without_pod(
            [
                event
                for event in self._events("involvedObject.kind=ReplicaSet,reason=FailedCreate")
                if event.involved_object.name.startswith(f"{deployment}-")
            ]
        )
        why = f"it {refused.reason}" if refused else "the cluster does not say why"
        return f"{deployment} had not all of its pods after {seconds:.0f} s: {why}."

    def _events(self, selector: str) -> list[Any]:
        from kubernetes.client import ApiException, CoreV1Api

        try:
            found = CoreV1Api(self.api).list_namespaced_event(self.namespace, field_selector=selector)
        except ApiException:  # without that right there is less to say
            return []
        return sorted(found.items, key=lambda event: str(event.last_timestamp or event.event_time or ""))

    def _log(self, pod: Any) -> str:
        """The end of what a pod said, with a line break before it; of its run before, when it starts anew."""
        from kubernetes.client import ApiException, CoreV1Api

        restarted = any(status.restart_count for status in pod.status.container_statuses or ())
        try:
            said = CoreV1Api(self.api).read_namespaced_pod_log(
                pod.metadata.name, self.namespace, tail_lines=15, previous=restarted
            )
        except ApiException:  # it has said nothing yet, or is gone
            return ""
        lines = [f"  {line}" for line in said.splitlines()]
        return "\n".join(["", "The end of its log:", *lines]) if lines else ""

    def _path(self, version: str, kind: str, name: str) -> str:
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        return f"{root}/namespaces/{self.namespace}/{_PLURAL[kind]}/{name}"

    def _call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Sequence[tuple[str, str]] = (),
        content_type: str = "application/json",
        missing_ok: bool = False,
    ) -> Any:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        headers = {"Accept": "application/json", "Content-Type": content_type}
        try:
            data, _, _ = self.api.call_api(
                path,
                method,
                query_params=list(query),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
                response_type="object",
                _return_http_data_only=False,
            )
        except ApiException as error:
            if missing_ok and error.status == 404:
                return None
            raise ReleaseError(refusal(error)) from None
        except HTTPError as error:
            raise ReleaseError(f"The cluster's API server does not answer: {error}") from None
        return data


def is_ready(pod: Any) -> bool:
    """Whether a pod (V1Pod) takes requests, as far as its own word goes."""
    return any(
        condition.type == "Ready" and condition.status == "True" for condition in pod.status.conditions or ()
    )
