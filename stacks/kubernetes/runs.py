"""Whether a run in the cluster still goes on, asked by a pod of another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse


def goes_on(name: str) -> bool:
    """Whether the run of that name has not ended, and has a Job that works on it.

    ZenML alone does not know: a run whose pods were killed for good could not say that it ended.
    """
    from zenml.client import Client

    client = Client()
    found = client.list_pipeline_runs(name=name, hydrate=True).items
    if not found or found[0].status.is_finished:
        return False
    return any(not _over(job) for job in _jobs(cast(Any, client.active_stack.orchestrator), found[0]))


def _jobs(orchestrator: Any, run: PipelineRunResponse) -> list[Any]:
    from kubernetes.client import ApiException

    batch, namespace = orchestrator._k8s_batch_api, orchestrator.config.kubernetes_namespace
    labelled = batch.list_namespaced_job(namespace, label_selector=f"run_id={run.id},!step_name").items
    if labelled or run.orchestrator_run_id is None:
        return list(labelled)
    # The Jobs of a schedule have no run's labels, but ZenML's name of the orchestrator's run.
    try:
        return [batch.read_namespaced_job(run.orchestrator_run_id, namespace)]
    except ApiException as error:
        if error.status == 404:
            return []
        raise


def _over(job: Any) -> bool:
    return any(
        each.type in ("Complete", "Failed") and each.status == "True" for each in job.status.conditions or ()
    )
