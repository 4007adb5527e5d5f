"""Whether a cluster takes a schedule, asked before an earlier one is given up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from errors import StackError, UsageError
from stacks.kubernetes.connection import refusal

if TYPE_CHECKING:
    from stacks.kubernetes.orchestrator import Orchestrator


def check(orchestrator: Orchestrator, cron: str) -> None:
    """Ask the API server whether it would take a CronJob of that time; it makes none.

    Raises:
        UsageError: it does not understand the time.
        StackError: it refuses for another reason, such as missing rights.
    """
    from kubernetes.client import (
        ApiException,
        V1Container,
        V1CronJob,
        V1CronJobSpec,
        V1JobSpec,
        V1JobTemplateSpec,
        V1ObjectMeta,
        V1PodSpec,
        V1PodTemplateSpec,
    )

    pod = V1PodSpec(restart_policy="Never", containers=[V1Container(name="main", image="none")])
    job = V1JobTemplateSpec(spec=V1JobSpec(template=V1PodTemplateSpec(spec=pod)))
    body = V1CronJob(
        metadata=V1ObjectMeta(generate_name="check-"), spec=V1CronJobSpec(schedule=cron, job_template=job)
    )
    try:
        orchestrator._k8s_batch_api.create_namespaced_cron_job(
            orchestrator.config.kubernetes_namespace, body, dry_run="All"
        )
    except ApiException as error:
        if error.status == 422:
            raise UsageError(
                f"Kubernetes does not understand the time {cron!r}: expected five fields as crontab(5) has "
                f"them, such as '0 3 * * 1' for Mondays at 3. {refusal(error)}"
            ) from None
        raise StackError(refusal(error)) from None
