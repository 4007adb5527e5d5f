"""Objects of an endpoint in a cluster: applied, looked at, deleted."""

from __future__ import annotations

import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from errors import ReleaseError
from releases.kubernetes.manifests import BENTO, COMPONENT, MODEL, NAME, VERSION, name_of
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
    "Secret": "secrets",
    "ServiceAccount": "serviceaccounts",
    "NetworkPolicy": "networkpolicies",
    "Service": "services",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "Deployment": "deployments",
    "HTTPRoute": "httproutes",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers",
}


class Secret(NamedTuple):
    """What a Secret holds."""

    version: str
    """Another one, whenever it is changed."""
    values: Mapping[str, str]


@dataclass(frozen=True)
class Live:
    """What a Deployment runs."""

    image: str
    """That has the model."""
    images: frozenset[str]
    """All that a pod of it runs."""
    annotations: Mapping[str, str]
    """Of its pods."""
    model_version: int
    bento: str
    replicas: int
    ready: int
    complete: bool
    """Whether all of its pods are of this image, and ready."""


class Objects:
    """The endpoint of one use case in one namespace; or its stream, by that one's name."""

    def __init__(self, api: ApiClient, namespace: str, use_case: str, sized_in: str = SIZED_IN) -> None:
        self.api, self.namespace, self.name = api, namespace, name_of(use_case)
        self._sized_in = sized_in

    def apply(self, manifests: Sequence[Manifest], manager: str = MANAGER) -> None:
        """Make the cluster match; fields that others set and the manifests do not name stay theirs.

        What another `manager` applied, which may be a part of an object, stays too.

        Raises:
            ReleaseError: the cluster refuses one.
        """
        for manifest in manifests:
            self._call(
                "PATCH",
                self._path(manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"]),
                body=manifest,
                query=[("fieldManager", manager), ("force", "true")],
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

    def delete(self, name: str, kind: str = "Deployment", version: str = "apps/v1") -> bool:
        """Delete an object, and whether it was there; a Deployment's pods end as they do in any rollout."""
        return self._call("DELETE", self._path(version, kind, name), missing_ok=True) is not None

    def secret(self, name: str, values: Mapping[str, str | None] | None = None) -> Secret | None:
        """A Secret, first made or changed to hold `values`; those that are None it is not to have.

        Returns None where there is none and no `values` are given.

        Raises:
            ReleaseError: the cluster does not answer, or refuses.
        """
        path = self._path("v1", "Secret", name)
        if values is None:
            found = self._call("GET", path, missing_ok=True)
        else:
            data = {key: value and b64encode(value.encode()).decode() for key, value in values.items()}
            merge = "application/merge-patch+json"
            found = self._call("PATCH", path, body={"data": data}, content_type=merge, missing_ok=True)
            if found is None:
                # By applying, since a right to make one of this name alone is no right to POST.
                metadata = {"name": name, "labels": {"app.kubernetes.io/part-of": "modelyard"}}
                given = {key: value for key, value in data.items() if value is not None}
                self.apply([{"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": given}])
                return self.secret(name)
        if found is None:
            return None
        held = {key: b64decode(value).decode() for key, value in (found.get("data") or {}).items()}
        return Secret(found["metadata"]["resourceVersion"], held)

    def live(self, deployment: str) -> Live | None:
        """What a Deployment runs, or None when there is none.

        Raises:
            ReleaseError: the cluster does not answer, or refuses.
        """
        found = self._call("GET", self._path("apps/v1", "Deployment", deployment), missing_ok=True)
        if found is None:
            return None
        template, status = found["spec"]["template"], found.get("status", {})
        annotations, replicas = template["metadata"].get("annotations", {}), found["spec"].get("replicas", 1)
        # As `kubectl rollout status` counts.
        complete = status.get("observedGeneration", 0) >= found["metadata"]["generation"] and all(
            status.get(count, 0) == replicas for count in ("replicas", "updatedReplicas", "availableReplicas")
        )
        return Live(
            image=_with_model(template["spec"])["image"],
            images=frozenset(
                each["image"]
                for kind in ("initContainers", "containers")
                for each in template["spec"].get(kind, ())
            ),
            annotations=annotations,
            model_version=int(template["metadata"]["labels"].get(VERSION, 0)),
            bento=annotations.get(BENTO, ""),
            replicas=replicas,
            ready=status.get("readyReplicas", 0),
            complete=complete,
        )

    def pods(self, component: str, of: Live | None = None) -> list[Any]:
        """Pods (V1Pod) of the Deployment that are not on their way out: all, or such as it makes now."""
        from kubernetes.client import ApiException, CoreV1Api

        selector = f"{NAME}={self.name},{COMPONENT}={component}"
        try:
            found = CoreV1Api(self.api).list_namespaced_pod(self.namespace, label_selector=selector).items
        except ApiException as error:
            raise ReleaseError(refusal(error)) from None
        return [
            pod
            for pod in found
            if pod.metadata.deletion_timestamp is None and (of is None or _is_of(pod, of))
        ]

    def wait(
        self, deployment: str, component: str, image: str, seconds: float, meanwhile: Callable[[], None]
    ) -> list[Any]:
        """Return the pods of a Deployment once all are of `image` and ready.

        Raises:
            ReleaseError: one of them cannot get ready, or they took more than `seconds`; it says why.
        """
        deadline = time.monotonic() + seconds
        known: set[Any] | None = None
        while True:
            meanwhile()
            live = self.live(deployment)
            is_ours = live is not None and live.image == image
            pods = self.pods(component, live) if is_ours else []
            if live is not None and is_ours and live.complete:
                return pods
            ended = {}
            for pod in pods:
                found = trouble(pod, sized_in=self._sized_in)
                if found is not None and found.final:
                    ended[_end(pod)] = pod, found.reason
            # What ended before may be mended by now, and begin anew.
            known = known if known is not None else set(ended)
            for end, (pod, reason) in ended.items():
                if end not in known:
                    raise ReleaseError(f"The pod {pod.metadata.name} {reason}.{self._log(pod)}")
            if time.monotonic() > deadline:
                raise ReleaseError(self._why_late(deployment, pods, seconds))
            time.sleep(_LOOK_SECONDS)

    def _why_late(self, deployment: str, pods: Sequence[Any], seconds: float) -> str:
        for pod in pods:
            events = self._events(f"involvedObject.uid={pod.metadata.uid}")
            found = trouble(pod, events, sized_in=self._sized_in)
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


def _with_model(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """The container of a template's pod whose image has the model; streams' brings it to another one."""
    bringing = (each for each in pod.get("initContainers", ()) if each["name"] == MODEL)
    found: Mapping[str, Any] = next(bringing, pod["containers"][0])
    return found


def _is_of(pod: Any, live: Live) -> bool:
    """Whether a pod (V1Pod) is of a Deployment's template of now; others add to it, but take nothing away."""
    images = {each.image for each in [*(pod.spec.init_containers or ()), *pod.spec.containers]}
    return live.images <= images and live.annotations.items() <= (pod.metadata.annotations or {}).items()


def _end(pod: Any) -> tuple[Any, ...]:
    """Which pod, and when its containers ended: of a later end it is another."""
    states = [
        state
        for each in [*(pod.status.init_container_statuses or ()), *(pod.status.container_statuses or ())]
        for state in (each.state, each.last_state)
    ]
    ends = {state.terminated.finished_at for state in states if state is not None and state.terminated}
    return pod.metadata.uid, frozenset(ends)


def is_ready(pod: Any) -> bool:
    """Whether a pod (V1Pod) takes requests, as far as its own word goes."""
    return any(
        condition.type == "Ready" and condition.status == "True" for condition in pod.status.conditions or ()
    )
