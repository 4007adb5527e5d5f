"""ZenML's Kubernetes orchestrator with what a cluster demands of our pods; registered as flavor `modelyard`.

It differs from ZenML's own in five things:

- which cluster: on a person's machine the context that the command was given, in a pod its own cluster;
- pods start by `entrypoint.py`, which takes half the time;
- pods find ZenML's server at its address in the cluster, which on a laptop is another;
- pods of steps have a service account without rights, and resources of their own; the login of the
  registry, which releases push to, is in the orchestrator's pod alone;
- pods of steps that load or export data have a login to PostgreSQL, and no others.
"""

from __future__ import annotations

import os
from typing import Any
from uuid import UUID

from pydantic import Field
from zenml.constants import DYNAMIC_PIPELINE_RUN_FAILED_EXIT_CODE
from zenml.integrations.kubernetes.constants import (
    KUBERNETES_CRON_JOB_METADATA_KEY,
    KUBERNETES_SECRET_TOKEN_KEY_NAME,
)
from zenml.integrations.kubernetes.flavors import (
    KubernetesOrchestratorConfig,
    KubernetesOrchestratorFlavor,
    KubernetesOrchestratorSettings,
)
from zenml.integrations.kubernetes.orchestrators import KubernetesOrchestrator
from zenml.integrations.kubernetes.pod_settings import KubernetesPodSettings

CONTEXT = "MODELYARD_KUBE_CONTEXT"
ROLE = "modelyard.dev/role"
"""Label of pods: `orchestrator` or `step`; the chart's network policies go by it."""
DATABASE = "modelyard.dev/database"
"""Label of those that may reach PostgreSQL."""

_REGISTRY = "/etc/modelyard/registry"
_DATABASE = "/etc/modelyard/database"

# ZenML's own label of what belongs to a step, and its variable for the token of a run.
_STEP = "step_name"
_TOKEN = "ZENML_STORE_API_TOKEN"  # noqa: S105 - a variable's name


class Config(KubernetesOrchestratorConfig):
    """ZenML's settings of the orchestrator, and what pods need beyond them."""

    image: str = Field(description="What pods run; it has the project and all that it needs.")
    server_url: str = Field(description="Address of ZenML's server as pods see it.")
    registry_secret: str = Field(
        default="", description="Secret with the login of the registry that releases push to."
    )
    step_resources: dict[str, dict[str, dict[str, str]]] = Field(
        default_factory=dict,
        description="Beginning of a step's name → `requests` and `limits` of its pod; "
        "the longest that fits counts, else `pod_settings.resources`.",
    )
    database_secret: str = Field(
        default="", description="Secret with the `url` by which `database_steps` reach PostgreSQL."
    )
    database_steps: list[str] = Field(
        default_factory=list, description="Names of the steps that load or export data."
    )


class Flavor(KubernetesOrchestratorFlavor):
    """The flavor as ZenML registers it."""

    @property
    def name(self) -> str:
        return "modelyard"

    @property
    def config_class(self) -> type[Config]:
        return Config

    @property
    def implementation_class(self) -> type[Orchestrator]:
        return Orchestrator


class Orchestrator(KubernetesOrchestrator):
    """Runs pipelines as pods."""

    def get_kube_client(self, incluster: bool | None = None) -> Any:  # noqa: ARG002 - it is known here
        """A client of the cluster that this process belongs to, or was pointed at."""
        from stacks.kubernetes.cluster import client

        if self._k8s_client is None:
            self._k8s_client = client(os.environ.get(CONTEXT))
        return self._k8s_client

    def _prepare_job_manifest(  # type: ignore[override]
        self,
        *,
        command: list[str],
        args: list[str],
        environment: dict[str, str],
        labels: dict[str, str],
        settings: KubernetesOrchestratorSettings,
        pod_settings: KubernetesPodSettings | None = None,
        **others: Any,
    ) -> Any:
        step = labels.get(_STEP)
        pod = pod_settings or KubernetesPodSettings()
        changes: dict[str, Any] = {"labels": pod.labels | {ROLE: "step" if step else "orchestrator"}}
        if step:
            # The token of the orchestrator's pod is in a Secret; ZenML writes it into the Jobs of steps.
            environment = {name: text for name, text in environment.items() if name != _TOKEN}
            secret = self.get_token_secret_name(UUID(args[args.index("--snapshot_id") + 1]))
            reference = {"name": secret, "key": KUBERNETES_SECRET_TOKEN_KEY_NAME}
            changes["env"] = [*pod.env, {"name": _TOKEN, "valueFrom": {"secretKeyRef": reference}}]
            changes["resources"] = self._resources(step) or pod.resources
            if step in self._own_config.database_steps:
                changes |= _database_login(pod, changes, self._own_config.database_secret)
            changes["additional_pod_spec_args"] = pod.additional_pod_spec_args | {
                "automount_service_account_token": False
            }
            settings = settings.model_copy(
                update={"service_account_name": settings.step_pod_service_account_name}
            )
        else:
            others["pod_failure_policy"] = _ORCHESTRATOR_FAILURES
            if secret := self._own_config.registry_secret:
                changes |= _registry_login(pod, secret)
        assert command[:2] == ["python", "-m"], command
        return super()._prepare_job_manifest(
            command=["python", "-m", "stacks.kubernetes.entrypoint"],
            args=args,
            environment=environment | {"ZENML_STORE_URL": self._own_config.server_url},
            labels=labels,
            settings=settings,
            pod_settings=pod.model_copy(update=changes),
            **others,
        )

    def _submit_orchestrator_job(self, snapshot: Any, *arguments: Any, **others: Any) -> Any:
        """Submit it; the Secret with its token then goes when it goes, which ZenML leaves to nobody."""
        result: Any = super()._submit_orchestrator_job(snapshot, *arguments, **others)
        namespace = self.config.kubernetes_namespace
        if snapshot.schedule:
            name = result.metadata[KUBERNETES_CRON_JOB_METADATA_KEY]
            owner = self._k8s_batch_api.read_namespaced_cron_job(name, namespace)
        else:
            run = others["placeholder_run"]
            (owner,) = self._k8s_batch_api.list_namespaced_job(
                namespace, label_selector=f"run_id={run.id}"
            ).items
        reference = {
            "apiVersion": "batch/v1",
            "kind": "CronJob" if snapshot.schedule else "Job",
            "name": owner.metadata.name,
            "uid": owner.metadata.uid,
        }
        self._k8s_core_api.patch_namespaced_secret(
            self.get_token_secret_name(snapshot.id),
            namespace,
            {"metadata": {"ownerReferences": [reference]}},
        )
        return result

    @property
    def _own_config(self) -> Config:
        assert isinstance(self._config, Config)
        return self._config

    def _resources(self, step: str) -> dict[str, dict[str, str]] | None:
        fitting = [name for name in self._own_config.step_resources if step.startswith(name)]
        return self._own_config.step_resources[max(fitting, key=len)] if fitting else None


def _database_login(pod: KubernetesPodSettings, changes: dict[str, Any], secret: str) -> dict[str, Any]:
    """Changes that give a pod the login of ingestion, and a certificate where the URL names one."""
    url = {"valueFrom": {"secretKeyRef": {"name": secret, "key": "url"}}}
    mount = {"name": "database", "mountPath": _DATABASE, "readOnly": True}
    return {
        "labels": {**changes["labels"], DATABASE: "true"},
        "env": [*changes["env"], {"name": "MODELYARD_INGESTION_URL", **url}],
        "volumes": [*pod.volumes, {"name": "database", "secret": {"secretName": secret}}],
        "volume_mounts": [*pod.volume_mounts, mount],
    }


def _registry_login(pod: KubernetesPodSettings, secret: str) -> dict[str, Any]:
    """Changes that give a pod the Secret as the file in which Docker and its kin keep logins."""
    source = {"secretName": secret, "items": [{"key": ".dockerconfigjson", "path": "config.json"}]}
    return {
        "volumes": [*pod.volumes, {"name": "registry", "secret": source}],
        "volume_mounts": [*pod.volume_mounts, {"name": "registry", "mountPath": _REGISTRY, "readOnly": True}],
        "env": [*pod.env, {"name": "DOCKER_CONFIG", "value": _REGISTRY}],
    }


# A pod that was moved away or killed is followed by another one, which goes on with the run; one that ended
# since the run failed is not.
_ORCHESTRATOR_FAILURES = {
    "rules": [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {
            "action": "FailJob",
            "onExitCodes": {
                "containerName": "main",
                "operator": "In",
                "values": [DYNAMIC_PIPELINE_RUN_FAILED_EXIT_CODE],
            },
        },
    ]
}
