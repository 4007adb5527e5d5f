"""Watch a run in the cluster until it ends: its steps as they go, its pods when something is wrong."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import errors
from errors import ModelyardError, StackError
from stacks.kubernetes import pods
from stacks.kubernetes.orchestrator import ROLE

if TYPE_CHECKING:
    from uuid import UUID

    from zenml.models import PipelineRunResponse, StepRunResponse

    from stacks.kubernetes.orchestrator import Orchestrator

_log = logging.getLogger(__name__)

_INTERVAL = 1.0
_PATIENCE = 60.0
"""Seconds for which cluster or server may be out of reach before the command gives up watching."""
_LOOKS = 10
"""Looks in a row without the orchestrator's Job before it counts as deleted: a run is there before it."""
_LINES = 15


@dataclass
class Watch:
    """What was seen of a run so far."""

    run: PipelineRunResponse
    orchestrator: Orchestrator
    stack: str
    _seen: dict[UUID, str] = field(default_factory=dict)
    _told: dict[str, str] = field(default_factory=dict)
    _missing: int = 0
    """Looks in a row in which the orchestrator's Job was not there."""

    def to_the_end(self) -> PipelineRunResponse:
        """Say what happens as ZenML says it of local runs; returns the run once it has ended.

        Raises:
            StackError: its orchestrator cannot run, or cluster or server stay out of reach.
        """
        from zenml.client import Client

        reached = time.monotonic()
        while True:
            try:
                run = Client().get_pipeline_run(self.run.id, hydrate=True)
                self._steps()
                if run.status.is_finished:
                    return run
                self._pods()
                self._still_there(run)
                reached = time.monotonic()
            except ModelyardError:
                raise
            except Exception as error:
                # Whatever it is: a server that is being replaced shows itself in many ways.
                if time.monotonic() - reached > _PATIENCE:
                    raise StackError(
                        f"Cluster or server are out of reach for {_PATIENCE:.0f} s: {error}\n{self.goes_on()}"
                    ) from error
            time.sleep(_INTERVAL)

    def goes_on(self) -> str:
        """How to see more of a run that nobody watches."""
        return (
            f"The run {self.run.name} goes on in the cluster. "
            f"Follow it: python run.py --stack {self.stack} follow {self.run.name}\n"
            f"Stop it: python run.py --stack {self.stack} zenml pipeline runs stop {self.run.name}"
        )

    def failure(self, run: PipelineRunResponse) -> ModelyardError:
        """Why `run` failed: the step, what it raised, what became of its pod, its last lines of log."""
        if run.status == "stopped":
            return ModelyardError(f"The run {run.name} was stopped.")
        failed = [step for step in run.steps.values() if step.status.is_failed]
        if not failed:
            pod, because = self._what_became_of("orchestrator")
            return ModelyardError(
                f"The run {run.name} ended {run.status.value}; no step of it failed.{because}"
                f"{self._last_lines(pod)}"
            )
        step = min(failed, key=lambda step: step.end_time or step.created)
        raised = step.exception_info
        own = _own_error(raised.source if raised else None)
        if own is not None and raised is not None and raised.message:
            return own(raised.message)
        pod, because = self._what_became_of("step", step)
        if pod is None:
            pod, because = self._what_became_of("orchestrator")
        what = f": {raised.message}" if raised and raised.message else ""
        return ModelyardError(
            f"The step {step.name} of the run {run.name} failed{what}.{because}{self._last_lines(pod)}"
        )

    def _steps(self) -> None:
        from zenml.client import Client

        page = Client().list_run_steps(
            pipeline_run_id=self.run.id, size=200, sort_by="asc:created", hydrate=False
        )
        for step in page.items:
            # Of a step that is tried again there are two, of the same name.
            now = "retried" if step.status.value == "retrying" else step.status.value
            if self._seen.get(step.id) == now:
                continue
            self._seen[step.id] = now
            if now == "cached":
                _log.info("Using cached version of step `%s`.", step.name)
            elif now == "running":
                _log.info("Step `%s` has started.", step.name)
            elif now == "completed":
                seconds = _seconds(step)
                _log.info("Step `%s` has finished in %s s.", step.name, seconds, extra={"seconds": seconds})
            elif now in ("failed", "retried"):
                again = "; it is tried again" if now == "retried" else ""
                _log.warning("Step `%s` failed%s.", step.name, again)

    def _pods(self) -> None:
        there = list(self._pods_of())
        for pod in there:
            name = pod.metadata.labels.get("step_name", "the orchestrator")
            pending = pod.status.phase == "Pending"
            self._tell(pod, name, pods.trouble(pod, self._events("Pod", pod) if pending else ()))
        with_pod = {pod.metadata.labels.get("job-name") for pod in there}
        for job in self._jobs():
            name = job.metadata.labels.get("step_name", "the orchestrator")
            if name == "the orchestrator" and _given_up(job):
                self._give_up()
                last, because = self._what_became_of("orchestrator")
                raise ModelyardError(f"The run {self.run.name} failed.{because}{self._last_lines(last)}")
            if job.metadata.name not in with_pod and not job.status.succeeded and not job.status.failed:
                self._tell(job, name, pods.without_pod(self._events("Job", job)))

    def _still_there(self, run: PipelineRunResponse) -> None:
        """End a run whose Job somebody deleted: nothing else would, and it would be watched for ever."""
        self._missing = 0 if self._has_job(run) else self._missing + 1
        if self._missing == _LOOKS:
            self._give_up()
            raise ModelyardError(f"The run {run.name} was ended: its Job was deleted in the cluster.")

    def _has_job(self, run: PipelineRunResponse) -> bool:
        from kubernetes.client import ApiException

        if any("step_name" not in job.metadata.labels for job in self._jobs()):
            return True
        if run.orchestrator_run_id is None:
            return False
        # The Jobs of a schedule have no run's labels, but ZenML's name of the orchestrator's run.
        try:
            self.orchestrator._k8s_batch_api.read_namespaced_job(run.orchestrator_run_id, self._namespace)
        except ApiException as error:
            if error.status == 404:
                return False
            raise
        return True

    def _tell(self, thing: Any, name: str, found: pods.Trouble | None) -> None:
        if found is None or self._told.get(thing.metadata.name) == found.reason:
            return
        self._told[thing.metadata.name] = found.reason
        if found.final and name == "the orchestrator" and thing.status.phase == "Pending":
            self._give_up()
            raise StackError(f"The run {self.run.name} cannot begin: its pod {found.reason}.")
        _log.warning("The pod of %s %s.", name, found.reason)

    def _give_up(self) -> None:
        """End a run whose orchestrator will never start; nobody else would."""
        from zenml.client import Client
        from zenml.enums import ExecutionStatus
        from zenml.models import PipelineRunUpdate

        for job in self._jobs():
            self.orchestrator._k8s_batch_api.delete_namespaced_job(
                job.metadata.name, self._namespace, propagation_policy="Background"
            )
        Client().zen_store.update_run(self.run.id, PipelineRunUpdate(status=ExecutionStatus.FAILED))

    @property
    def _namespace(self) -> str:
        return self.orchestrator.config.kubernetes_namespace

    def _jobs(self) -> Any:
        return self.orchestrator._k8s_batch_api.list_namespaced_job(
            self._namespace, label_selector=f"run_id={self.run.id}"
        ).items

    def _pods_of(self, role: str | None = None, step: StepRunResponse | None = None) -> Iterator[Any]:
        """Pods of the run, newest first."""
        selector = f"run_id={self.run.id}"
        if role:
            selector += f",{ROLE}={role}"
        if step:
            selector += f",step_run_id={step.id}"
        found = self.orchestrator._k8s_core_api.list_namespaced_pod(self._namespace, label_selector=selector)
        yield from sorted(found.items, key=lambda pod: pod.metadata.creation_timestamp, reverse=True)

    def _events(self, kind: str, thing: Any) -> list[Any]:
        found = self.orchestrator._k8s_core_api.list_namespaced_event(
            self._namespace,
            field_selector=f"involvedObject.kind={kind},involvedObject.name={thing.metadata.name}",
        )
        return sorted(found.items, key=lambda event: str(event.last_timestamp or event.event_time or ""))

    def _what_became_of(self, role: str, step: StepRunResponse | None = None) -> tuple[Any, str]:
        """The newest pod of that kind, and what went wrong with it or those before, as a sentence."""
        there = list(self._pods_of(role, step))
        found = [trouble for pod in there if (trouble := pods.trouble(pod))]
        return next(iter(there), None), f" Its pod {found[0].reason}." if found else ""

    def _last_lines(self, pod: Any) -> str:
        from kubernetes.client import ApiException

        if pod is None:
            return ""
        try:
            text = self.orchestrator._k8s_core_api.read_namespaced_pod_log(
                pod.metadata.name, self._namespace, tail_lines=_LINES
            )
        except ApiException:  # it never ran, or is gone
            return ""
        return f"\nThe last lines of {pod.metadata.name}:\n{text.rstrip()}" if text else ""


def _given_up(job: Any) -> bool:
    """Whether Kubernetes will start no pod of the Job any more, and none succeeded."""
    return any(each.type == "Failed" and each.status == "True" for each in job.status.conditions or ())


def _seconds(step: StepRunResponse) -> float:
    return (step.end_time - step.start_time).total_seconds() if step.end_time and step.start_time else 0.0


def _own_error(source: str | None) -> type[ModelyardError] | None:
    module, _, name = (source or "").rpartition(".")
    found = getattr(errors, name, None) if module == "errors" else None
    return found if isinstance(found, type) and issubclass(found, ModelyardError) else None
