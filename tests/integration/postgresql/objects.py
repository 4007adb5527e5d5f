"""The objects that are made in a store before it is asked: some of every kind that a client can make."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from zenml import log_metadata, models, pipeline, save_artifact, step
from zenml.client import Client
from zenml.config.source import Source
from zenml.enums import (
    ExecutionStatus,
    HookType,
    MetadataResourceTypes,
    RunWaitConditionType,
    ServiceState,
    SourceType,
    StackComponentType,
    TriggerFlavor,
)

AWKWARD = ["100%", "a_b", "aXb", "A_B", "back\\slash", "quote'd", 'say "hi"', "naïve 東京", "NAÏVE"]
NUMBERS = ["12", "12abc", "7.5", "-2", ".5", "1e3", "1e400", "-1e99999", "1e-400", "+3.", "0x10", "9" * 250]
LONG = ["x" * 63, "x" * 64, "y" * 64]
NAMES = ["plain", "Plain", "PLAIN-3", *AWKWARD, *NUMBERS, *LONG]
RUNS = ["plain", "PLAIN-3", "100%", "a_b", "aXb", "back\\slash", "naïve 東京", "12", *LONG]
METADATA: list[dict[str, Any]] = [
    {"loss": 0.25, "count": 3, "note": "12abc", "flag": True},
    {"loss": 1.5, "count": 12, "note": "abc", "flag": False, "rate%": 1},
    {"loss": -2.0, "count": 100, "note": "7", "rate_": 2},
    {"loss": 1e300, "count": 0, "note": "ABC 東京", "LOSS": 0.5},
    {"note": "%", "list": [1, 2], "nested": {"deep": "12"}},
    {"note": "", "loss": "unknown", "count": "12"},
    {},
]
# The last and first moments of days, weeks, months and years; 2024-12-30 is a Monday of 2025's first week.
EDGES = [
    datetime(2023, 12, 31, 23, 59, 59),
    datetime(2024, 1, 1),
    datetime(2024, 2, 29, 23, 0, 0),
    datetime(2024, 3, 1, 0, 0, 0, 1),
    datetime(2024, 12, 29, 23, 59, 59, 500_000),
    datetime(2024, 12, 30),
    datetime(2025, 1, 5, 12, 30),
    datetime(2025, 1, 6, 0, 59, 59, 990_000),
]
SECRETS = {
    "text": {"key": "naïve 東京 🌍", "empty": "", "quotes": "a'b\"c\\d%_"},
    "bytes": {"key": bytes(range(256)).decode("latin-1")},
    "Escapes": {"key": '{"a": "b\\u0000\\x00"}', "nul": "a\x00b", "lines": "a\r\nb\t"},
    "long": {"key": "x" * 20_000},
}


@step(enable_cache=False)
def give(value: int) -> int:
    """A number, noted as metadata of this step."""
    log_metadata({"value": value, "note": f"{value}abc"})
    return value


@step(enable_cache=False)
def double(value: int) -> int:
    """Twice the number; negative ones are refused."""
    if value < 0:
        raise ValueError("negative")
    return 2 * value


@pipeline(enable_cache=False)
def doubling(value: int) -> None:
    """Give and double, in steps that are named differently in each run."""
    double(give(value, id=f"give_{value}"), id=f"double_{value}")


def make(client: Client) -> None:
    """All of them, in an order that is the same in every store."""
    client.create_tag(name="shared", color="blue")
    for index, name in enumerate(NAMES):
        client.create_tag(name=name, exclusive=index % 5 == 1, color=("red", "blue", "green")[index % 3])
        client.create_model(name, description=f"model {index}" if index % 2 else None, tags=_tags(index))
    for index, metadata in enumerate(METADATA):
        version = client.create_model_version("plain", name=f"v{index}", tags=_tags(index))
        _note(client, version.id, MetadataResourceTypes.MODEL_VERSION, metadata)
        saved = save_artifact(index, name=f"number {index % 3}", tags=_tags(index))
        _note(client, saved.id, MetadataResourceTypes.ARTIFACT_VERSION, metadata)
    client.update_model_version("plain", "v1", stage="staging", force=True)
    client.update_model_version("plain", "v2", stage="production", force=True)
    for name, values in SECRETS.items():
        client.create_secret(name, values, private=name == "long")
    for name in ("trainer", "Trainer_2", "x" * 50):
        client.create_service_account(name, description=name)
    for name in ("one", "Two"):
        client.create_stack_component(
            f"store {name}", "local", StackComponentType.ARTIFACT_STORE, configuration={"path": ""}
        )
    _make_runs(client)
    _make_around(client, client.list_pipeline_runs(name="run 1", hydrate=True).items[0])


def _tags(index: int) -> list[str]:
    return [name for name in (NAMES[index % len(NAMES)], "shared") if index % 5 != 1]


def _note(client: Client, id_: UUID, type_: MetadataResourceTypes, metadata: dict[str, Any]) -> None:
    if metadata:
        client.create_run_metadata(metadata, [models.RunMetadataResource(id=id_, type=type_)])


def _make_runs(client: Client) -> None:
    """Real runs by the local orchestrator, one failed, and entries of others that go on or have ended."""
    for value in (1, 12, -1):
        with suppress(RuntimeError):
            doubling.with_options(run_name=f"run {value}", tags=_tags(abs(value)))(value)
    real = client.list_pipeline_runs(name="run 1", hydrate=True).items[0]
    assert real.pipeline
    assert real.snapshot
    last = datetime(2024, 2, 29, 23, 59, 59, 999_999)
    ends = [None, ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.STOPPED]
    began = {name: last + timedelta(hours=index) if index % 3 else None for index, name in enumerate(RUNS)}
    began |= {f"edge {index}": edge for index, edge in enumerate(EDGES)}
    began["last microsecond"] = datetime(2024, 6, 30, 23, 59, 59, 999_999)
    for index, (name, start) in enumerate(began.items()):
        end = ends[index % len(ends)]
        edge = name.startswith("edge")  # has ended when it is noted: ZenML ends the others itself
        run, _ = client.zen_store.get_or_create_run(
            models.PipelineRunRequest(
                project=real.project_id,
                name=name,
                snapshot=real.snapshot.id,
                pipeline=real.pipeline.id,
                orchestrator_run_id=f"order {index}",
                start_time=start,
                end_time=start + timedelta(seconds=index * 1_000) if start and edge and end else None,
                status=ExecutionStatus.RUNNING,
                tags=_tags(index),
            )
        )
        if end and not edge:
            client.zen_store.update_run(run.id, models.PipelineRunUpdate(status=end))
        _note(client, run.id, MetadataResourceTypes.PIPELINE_RUN, METADATA[index % len(METADATA)])
    for loss in (8, 0.125):  # the last note counts
        _note(client, real.id, MetadataResourceTypes.PIPELINE_RUN, {"loss": loss})


def _make_around(client: Client, run: Any) -> None:
    """What surrounds runs: snapshots, schedules, triggers, services, and what servers and stacks have."""
    store, project, began = client.zen_store, run.project_id, datetime(2024, 2, 29, 23, 59, 59)
    stack = client.active_stack_model
    orchestrator = stack.components[StackComponentType.ORCHESTRATOR][0]
    for name, seconds in (("every minute", 60), ("Rarely", 90_061), ("by cron", None)):
        store.create_schedule(
            models.ScheduleRequest(
                project=project,
                name=name,
                active=seconds == 60,
                cron_expression=None if seconds else "0 3 * * *",
                interval_second=timedelta(seconds=seconds) if seconds else None,
                start_time=began if seconds else None,
                end_time=began + timedelta(days=366) if seconds == 60 else None,
                catchup=bool(seconds),
                orchestrator_id=orchestrator.id,
                pipeline_id=run.pipeline.id,
            )
        )
    remote = _make_remote_stack(client)
    for local in (True, False):
        build = store.create_build(
            models.PipelineBuildRequest(
                project=project,
                images={"orchestrator": models.BuildItem(image="some/image:1")},
                is_local=local,
                contains_code=not local,
                stack=stack.id if local else remote,
                stack_checksum="1e3" if local else None,
                pipeline=run.pipeline.id,
                zenml_version="0.98.0",
                python_version="3.11",
                checksum=f"{local}",
                duration=5 if local else None,
            )
        )
    taken = client.get_snapshot(run.snapshot.id)
    for name, more in {
        "built": {"build": build.id, "tags": ["plain"], "description": "100%"},
        "Dynamic": {"is_dynamic": True, "source_snapshot": taken.id},
        "a_b": {"schedule": client.get_schedule("Rarely").id, "tags": ["shared", "12"]},
    }.items():
        store.create_snapshot(
            models.PipelineSnapshotRequest(
                project=project,
                name=name,
                run_name_template=taken.run_name_template,
                pipeline_configuration=taken.pipeline_configuration,
                step_configurations=taken.step_configurations,
                pipeline_spec=taken.pipeline_spec,
                stack=stack.id,
                pipeline=run.pipeline.id,
                **more,
            )
        )
    built, dynamic = client.get_snapshot("built"), client.get_snapshot("Dynamic")
    for name in ("hidden", "built"):  # one that is not hidden gives its snapshot its name
        store.create_run_template(
            models.RunTemplateRequest(
                project=project, name=name, source_snapshot_id=built.id, hidden=name == "hidden", tags=["a_b"]
            )
        )
    deployer = client.create_stack_component("deployer", "local", StackComponentType.DEPLOYER, {})
    for name in ("deployed", "Deployed_2"):
        store.create_deployment(
            models.DeploymentRequest(
                project=project, name=name, snapshot_id=built.id, deployer_id=deployer.id, tags=["plain"]
            )
        )
    _make_events(client, run, built.id, dynamic.id)
    _make_linked(client, run)


def _make_remote_stack(client: Client) -> UUID:
    """Its id. Templates and triggers are for stacks without local components; nobody connects to these."""
    components = {}
    for kind, flavor, configuration in (
        (StackComponentType.ORCHESTRATOR, "kubernetes", {}),
        (StackComponentType.ARTIFACT_STORE, "s3", {"path": "s3://nowhere"}),
    ):
        component = models.ComponentRequest(
            name="remote", type=kind, flavor=flavor, configuration=configuration, labels={"where": "away"}
        )
        components[kind] = [client.zen_store.create_stack_component(component).id]
    stack = models.StackRequest(name="remote", components=components, labels={"where": "away"})
    return client.zen_store.create_stack(stack).id


def _make_events(client: Client, run: Any, built: UUID, dynamic: UUID) -> None:
    store, project, began = client.zen_store, run.project_id, datetime(2024, 2, 29, 23, 59, 59)
    for name, kind in (("hook", "slack"), ("Hook_2", "clickup")):
        store.create_webhook(
            models.WebhookRequest(
                project=project, name=name, webhook_type=kind, active=kind == "slack", secret="s" * 32
            )
        )
    webhook = store.list_webhooks(models.WebhookFilter(project=project, name="hook")).items[0]
    client.create_schedule_trigger("ticking", interval=3_600, start_time=datetime(2099, 1, 1), max_runs=3)
    client.create_schedule_trigger("Ticking_2", cron_expression="0 3 * * *", active=False)
    client.create_platform_event_trigger("after", SourceType.PIPELINE, run.pipeline.id, ["run_completed"])
    for name in ("on hook", "On_hook_2"):
        store.create_trigger(
            models.WebhookTriggerRequest(
                project=project,
                name=name,
                flavor=TriggerFlavor.WEBHOOK,
                webhook_id=webhook.id,
                configuration={"target_events": [{"type": "message"}]},
            )
        )
    trigger = client.list_schedule_triggers(name="ticking").items[0]
    store.attach_trigger_to_snapshot(trigger.id, built)

    for name in ("waiting", "Waiting_2"):
        waiting, _ = store.get_or_create_run(
            models.PipelineRunRequest(
                project=project,
                name=name,
                snapshot=dynamic,
                pipeline=run.pipeline.id,
                orchestrator_run_id=name,
                status=ExecutionStatus.RUNNING,
            )
        )
        store.create_run_wait_condition(
            models.RunWaitConditionRequest(
                project=project,
                run=waiting.id,
                name=name,
                type=RunWaitConditionType.EXTERNAL_INPUT,
                question=f"{name}?" if name == "waiting" else None,
            )
        )
    for hook in (HookType.RUN_START, HookType.RUN_END):
        store.create_hook_invocation(
            models.HookInvocationRequest(
                project=project,
                hook_type=hook,
                name=hook.value,
                status=ExecutionStatus.COMPLETED,
                start_time=began,
                end_time=began + timedelta(seconds=1) if hook == HookType.RUN_END else None,
                source="somewhere.hook",
                pipeline_run_id=waiting.id,
            )
        )


def _make_linked(client: Client, run: Any) -> None:
    store, project = client.zen_store, run.project_id
    for version in client.list_model_versions(model="plain", size=3, sort_by="asc:number"):
        for artifact in client.list_artifact_versions(size=3, sort_by="asc:created"):
            store.create_model_version_artifact_link(
                models.ModelVersionArtifactRequest(model_version=version.id, artifact_version=artifact.id)
            )
        store.create_model_version_pipeline_run_link(
            models.ModelVersionPipelineRunRequest(model_version=version.id, pipeline_run=run.id)
        )
        store.create_service(
            models.ServiceRequest(
                project=project,
                name=f"service {version.name}",
                service_type=models.ServiceType(type="model-serving", flavor="own"),
                config={"name": f"service {version.name}", "pipeline_name": "doubling"},
                labels={"of": version.name},
                admin_state=ServiceState.ACTIVE,
                model_version_id=version.id,
                pipeline_run_id=run.id,
            )
        )
    for name in ("repository", "repository_2"):
        store.create_code_repository(
            models.CodeRepositoryRequest(
                project=project,
                name=name,
                config={"url": "100%"},
                source=Source.from_import_path("zenml.code_repositories.BaseCodeRepository"),
            )
        )
        store.create_flavor(
            models.FlavorRequest(
                name=name,
                type=StackComponentType.ORCHESTRATOR,
                config_schema={},
                source="somewhere.Flavor",
                integration=None,
            )
        )
        store.create_service_connector(
            models.ServiceConnectorRequest(
                name=name,
                connector_type="own",
                auth_method="password",
                resource_types=["thing"],
                labels={"team": name},
                configuration={"user": "me"},
                expiration_seconds=60,
            )
        )
        client.create_user(name, password="long enough")
        client.create_project(name, description="100%")
        client.create_stack(
            name, {StackComponentType.ORCHESTRATOR: "default", StackComponentType.ARTIFACT_STORE: "store one"}
        )
        client.create_api_key("trainer", name, description="of trainer")
