"""Why a pod does not run is said in one sentence, with what to do about it where that is known."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes.client import (
    CoreV1Event,
    V1Container,
    V1ContainerState,
    V1ContainerStateTerminated,
    V1ContainerStateWaiting,
    V1ContainerStatus,
    V1ObjectReference,
    V1Pod,
    V1PodCondition,
    V1PodSpec,
    V1PodStatus,
    V1ResourceRequirements,
)

from stacks.kubernetes.pods import trouble, without_pod


def pod(**status: Any) -> V1Pod:
    resources = V1ResourceRequirements(limits={"memory": "512Mi"})
    spec = V1PodSpec(containers=[V1Container(name="main", resources=resources)])
    return V1Pod(spec=spec, status=V1PodStatus(**status))


def container(**state: Any) -> list[V1ContainerStatus]:
    return [
        V1ContainerStatus(
            name="main",
            image="example.com/modelyard:1",
            image_id="",
            ready=False,
            restart_count=0,
            state=V1ContainerState(**state),
        )
    ]


def waiting(reason: str, message: str | None = None) -> list[V1ContainerStatus]:
    return container(waiting=V1ContainerStateWaiting(reason=reason, message=message))


def ended(code: int, reason: str = "Error") -> list[V1ContainerStatus]:
    return container(terminated=V1ContainerStateTerminated(exit_code=code, reason=reason))


def event(reason: str, message: str, kind: str = "Warning") -> CoreV1Event:
    return CoreV1Event(
        metadata={}, involved_object=V1ObjectReference(), reason=reason, message=message, type=kind
    )


def test_a_running_pod_has_no_trouble() -> None:
    assert trouble(pod(phase="Running", container_statuses=container())) is None


def test_a_pod_that_did_its_work_has_no_trouble() -> None:
    assert trouble(pod(phase="Succeeded", container_statuses=ended(0, "Completed"))) is None


def test_a_pod_whose_image_is_being_pulled_has_no_trouble() -> None:
    assert trouble(pod(phase="Pending", container_statuses=waiting("ContainerCreating"))) is None


def test_a_pod_that_no_node_takes_waits_and_may_yet_run() -> None:
    unschedulable = V1PodCondition(
        type="PodScheduled",
        status="False",
        reason="Unschedulable",
        message="0/3 nodes are available: 3 Insufficient memory.",
    )
    found = trouble(pod(phase="Pending", conditions=[unschedulable]))
    assert found is not None
    assert found.reason == ("waits: no node has room for it (0/3 nodes are available: 3 Insufficient memory)")
    assert not found.final


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_an_image_that_cannot_be_pulled_is_named_and_waiting_is_of_no_use(reason: str) -> None:
    found = trouble(pod(phase="Pending", container_statuses=waiting(reason, "not found")))
    assert found is not None
    assert found.reason == "cannot start: its image example.com/modelyard:1 cannot be pulled (not found)"
    assert found.final


def test_a_missing_secret_is_said_as_the_node_says_it() -> None:
    statuses = waiting("CreateContainerConfigError", 'secret "modelyard-s3" not found')
    found = trouble(pod(phase="Pending", container_statuses=statuses))
    assert found is not None
    assert found.reason == 'cannot start: its container cannot be made (secret "modelyard-s3" not found)'


def test_too_much_memory_names_the_limit_and_where_it_is_set() -> None:
    found = trouble(pod(phase="Failed", container_statuses=ended(137, "OOMKilled")))
    assert found is not None
    assert "more than the 512Mi of memory" in found.reason
    assert "`step_resources`" in found.reason


@pytest.mark.parametrize(
    ("code", "words"),
    [(137, "was killed (SIGKILL)"), (143, "was told to end (SIGTERM)"), (3, "ended with exit code 3")],
)
def test_an_exit_code_is_put_into_words(code: int, words: str) -> None:
    found = trouble(pod(phase="Failed", container_statuses=ended(code)))
    assert found is not None
    assert found.reason == words


def test_an_evicted_pod_says_what_the_node_ran_short_of() -> None:
    found = trouble(pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."))
    assert found is not None
    assert found.reason == "was ended by the cluster: Evicted (The node was low on resource: memory)"


def test_a_pending_pod_is_explained_by_its_newest_warning() -> None:
    events = [
        event("Scheduled", "assigned", "Normal"),
        event("FailedMount", "secret not found"),
        event("FailedScheduling", "said by its condition already"),
    ]
    statuses = waiting("ContainerCreating")
    found = trouble(pod(phase="Pending", container_statuses=statuses), events)
    assert found is not None
    assert found.reason == "waits: FailedMount (secret not found)"


def test_a_job_without_a_pod_is_explained_by_the_quota_that_keeps_it_from_one() -> None:
    found = without_pod([event("FailedCreate", 'pods "a" is forbidden: exceeded quota: memory')])
    assert found is not None
    assert found.reason == 'gets no pod: pods "a" is forbidden: exceeded quota: memory'
    assert not found.final


def test_a_job_that_has_just_been_made_has_no_trouble() -> None:
    assert without_pod([]) is None
