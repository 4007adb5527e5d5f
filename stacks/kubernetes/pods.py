"""Why a pod does not run, or ran no longer, in one sentence for the person who waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# States of a waiting container that end by themselves only when somebody changes something.
_STUCK = {
    "ErrImagePull": "its image {image} cannot be pulled",
    "ImagePullBackOff": "its image {image} cannot be pulled",
    "InvalidImageName": "its image {image} is no image name",
    "ErrImageNeverPull": "its image {image} is not on the node, and may not be pulled",
    "CreateContainerConfigError": "its container cannot be made",
    "CreateContainerError": "its container cannot be made",
    "RunContainerError": "its container cannot be started",
}
_SIZED_IN = "`step_resources` or `orchestrator_pod_settings` of the stack file"


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a pod."""

    reason: str
    """A sentence without a subject, such as `waits: no node has room (…)`."""
    final: bool
    """Whether waiting longer cannot mend it."""


def trouble(pod: Any, events: Sequence[Any] = (), *, sized_in: str = _SIZED_IN) -> Trouble | None:
    """What is wrong with `pod` (a V1Pod), or None.

    `events` are its own, oldest first; `sized_in` is where a person gives it more memory.
    """
    status = pod.status
    if status.reason:  # Evicted, DeadlineExceeded, Preempting, NodeLost …
        return Trouble(f"was ended by the cluster: {status.reason}{_because(status.message)}", final=True)
    for condition in status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            return Trouble(f"waits: no node has room for it{_because(condition.message)}", final=False)
    for container in [*(status.init_container_statuses or ()), *(status.container_statuses or ())]:
        found = _of_container(container, pod, sized_in)
        if found is not None:
            return found
    if status.phase == "Pending":
        failed = [e for e in events if e.type == "Warning" and e.reason != "FailedScheduling"]
        if failed:
            return Trouble(f"waits: {failed[-1].reason}{_because(failed[-1].message)}", final=False)
    return None


def _of_container(container: Any, pod: Any, sized_in: str) -> Trouble | None:
    waiting, ended = container.state.waiting, container.state.terminated
    if ended is None and not container.ready and container.last_state is not None:
        ended = container.last_state.terminated  # it is started again and again
    if waiting is not None and waiting.reason in _STUCK:
        what = _STUCK[waiting.reason].format(image=container.image)
        return Trouble(f"cannot start: {what}{_because(waiting.message)}", final=True)
    if ended is None or ended.exit_code == 0:
        return None
    if ended.reason == "OOMKilled":
        limit = _limit(pod, container.name)
        return Trouble(
            f"was ended for using more than the {limit} of memory that it may use; "
            f"give it more in {sized_in}",
            final=True,
        )
    if ended.exit_code == 137:
        return Trouble("was killed (SIGKILL)", final=True)
    if ended.exit_code == 143:
        return Trouble("was told to end (SIGTERM)", final=True)
    return Trouble(f"ended with exit code {ended.exit_code}", final=True)


def without_pod(events: Sequence[Any]) -> Trouble | None:
    """Why a Job has no pod, by its events (oldest first): a quota, a policy, a missing service account."""
    failed = [event for event in events if event.reason == "FailedCreate"]
    return Trouble(f"gets no pod: {failed[-1].message}", final=False) if failed else None


def _limit(pod: Any, name: str) -> str:
    for container in pod.spec.containers:
        if container.name == name and container.resources and container.resources.limits:
            return str(container.resources.limits.get("memory", "node's share"))
    return "node's share"


def _because(message: str | None) -> str:
    return f" ({message.strip().rstrip('.')})" if message else ""
