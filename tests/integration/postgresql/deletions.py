"""What is changed and deleted, and how many rows every table has then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from asking import Question, name_of
from sqlalchemy import MetaData, create_engine, func, select
from zenml import models
from zenml.client import Client
from zenml.enums import StackComponentType

# Written by requests to a server and by nothing else.
OF_SERVERS = {"api_transaction", "api_transaction_result"}


def questions(client: Client, database: str) -> Iterator[Question]:
    """Changes, then a deletion of each kind, small things before what they belong to."""
    yield from _changed(client)
    count = _counting(database)
    yield "rows before anything is deleted", count
    for what, delete in _deletions(client).items():
        yield f"delete {what}", delete
        yield f"rows without {what}", count


def _changed(client: Client) -> Iterator[Question]:
    yield "rename a model", lambda: client.update_model("aXb", name="b" * 64).name
    yield (
        "change a secret",
        lambda: client.update_secret("text", add_or_update_values={"key": "\x7fé"}).secret_values,
    )
    yield "delete a tag", lambda: client.delete_tag("shared")
    yield "what had the tag", lambda: _names(client.list_models, tags=["shared"])
    yield "delete a model", lambda: client.delete_model("plain")
    yield "its versions", lambda: _names(client.list_model_versions)
    yield "delete a run", lambda: client.delete_pipeline_run("run 12")
    yield "its steps", lambda: _names(client.list_run_steps)
    yield "what it wrote", lambda: _names(client.list_artifact_versions)


def _names(find: Callable[..., Any], **filters: Any) -> list[str]:
    return [name_of(item) for item in find(size=1000, sort_by="asc:created", **filters)]


def _deletions(client: Client) -> dict[str, Callable[[], Any]]:
    store, project = client.zen_store, client.active_project.id

    def first(find: Callable[..., Any], **filters: Any) -> Any:
        return next(iter(find(sort_by="asc:created", **filters)))

    def webhook() -> None:
        found = store.list_webhooks(models.WebhookFilter(project=project, name="hook"))
        store.delete_webhook(first(lambda **_: found).id)

    def filled_project() -> None:
        other = client.get_project("repository").id
        model = store.create_model(models.ModelRequest(project=other, name="of the other"))
        store.create_model_version(models.ModelVersionRequest(project=other, model=model.id, name="one"))
        store.create_artifact(
            models.ArtifactRequest(project=other, name="of the other", has_custom_name=True)
        )
        client.delete_project("repository")

    def artifact_version() -> None:
        found = client.get_artifact_version("number 2")
        client.delete_artifact_version(found.id, delete_metadata=True)

    deployer, orchestrator = StackComponentType.DEPLOYER, StackComponentType.ORCHESTRATOR
    return {
        "an artifact version": artifact_version,
        "an artifact": lambda: client.delete_artifact("number 0"),
        "a model version": lambda: client.delete_model_version(
            client.create_model_version("100%", tags=["12"]).id
        ),
        "a model without versions": lambda: client.delete_model("100%"),
        "a schedule": lambda: client.delete_schedule("Rarely"),
        "a schedule for good": lambda: client.delete_schedule("by cron", soft=False),
        "a trigger": lambda: client.delete_trigger(first(client.list_schedule_triggers).id),
        "a trigger for good": lambda: client.delete_trigger(
            first(client.list_webhook_triggers).id, soft=False
        ),
        "a webhook": webhook,
        "a service": lambda: client.delete_service("service v1"),
        "a deployment": lambda: store.delete_deployment(first(client.list_deployments).id),
        "a hook invocation": lambda: client.delete_hook_invocation(first(client.list_hook_invocations).id),
        "a template": lambda: client.delete_run_template("hidden"),
        "a snapshot with a schedule": lambda: client.delete_snapshot("a_b"),
        "a snapshot with runs": lambda: client.delete_snapshot("Dynamic"),
        "a build": lambda: client.delete_build(str(first(client.list_builds, is_local=False).id)),
        "a code repository": lambda: client.delete_code_repository("repository"),
        "a flavor": lambda: client.delete_flavor("repository"),
        "a service connector": lambda: client.delete_service_connector("repository"),
        "a secret": lambda: client.delete_secret("text"),
        "a tag of snapshots": lambda: client.delete_tag("12"),
        "a component in use": lambda: client.delete_stack_component(
            "store one", StackComponentType.ARTIFACT_STORE
        ),
        "a deployer": lambda: client.delete_stack_component("deployer", deployer),
        "a stack": lambda: client.delete_stack("repository"),
        "a stack with its components": lambda: client.delete_stack("remote", recursive=True),
        "the default orchestrator": lambda: client.delete_stack_component("default", orchestrator),
        "an API key": lambda: client.delete_api_key("trainer", "repository"),
        "a service account": lambda: client.delete_service_account("trainer"),
        "a user": lambda: client.delete_user("repository"),
        "a run that is waited for": lambda: client.delete_pipeline_run("waiting"),
        "a pipeline": lambda: client.delete_pipeline("doubling"),
        "an empty project": lambda: client.delete_project("repository_2"),
        "a project": filled_project,
        "the default project": lambda: client.delete_project("default"),
    }


def _counting(database: str) -> Callable[[], dict[str, int]]:
    """Rows of every table, read past ZenML."""
    engine = create_engine(database.replace("postgresql:", "postgresql+psycopg2:"))
    tables = MetaData()
    tables.reflect(engine)

    def count() -> dict[str, int]:
        counts = [
            select(func.count()).select_from(table).scalar_subquery().label(table.name)
            for table in tables.sorted_tables
            if table.name not in OF_SERVERS
        ]
        with engine.connect() as connection:
            return dict(connection.execute(select(*counts)).one()._mapping)

    return count
