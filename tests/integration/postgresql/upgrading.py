"""A database that outlives its ZenML: `python upgrading.py WHAT …`, by an old ZenML and by the new one.

`make KEYS` fills it and notes the API keys, which cannot be read back. `read KEYS FILE` writes down all that
the client tells of it, and whether the keys still open. `open` opens it, which migrates it where needed.
`work NUMBER` runs one more pipeline.
"""

# No `from __future__ import annotations`: ZenML 0.94 cannot read a step's types from texts.
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from zenml import Model, log_metadata, pipeline, step
from zenml.client import Client
from zenml.enums import StackComponentType
from zenml.models.v2.core.api_key import APIKey

from stacks.postgresql import initialize, install

LISTS = (
    *("list_projects", "list_users", "list_service_accounts", "list_service_connectors", "list_secrets"),
    *("list_flavors", "list_stack_components", "list_stacks", "list_tags", "list_models"),
    *("list_model_versions", "list_model_version_artifact_links", "list_model_version_pipeline_run_links"),
    *("list_pipelines", "list_snapshots", "list_pipeline_runs", "list_run_steps", "list_run_templates"),
    *("list_artifacts", "list_artifact_versions"),
)
SECRETS = {
    "text": {"key": "naïve 東京 🌍", "empty": "", "quotes": "a'b\"c\\d%_"},
    "bytes": {"key": bytes(range(256)).decode("latin-1"), "long": "x" * 20_000},
}


@step(enable_cache=False)
def give(value: int) -> int:
    """A number, noted as metadata of step, artifact and model."""
    log_metadata({"value": value, "nested": {"note": f"{value}abc 東京"}})
    log_metadata({"of": "the artifact", "value": value}, infer_artifact=True)
    log_metadata({"loss": value / 8}, infer_model=True)
    return value


@step(enable_cache=False)
def double(value: int) -> int:
    """Twice the number; negative ones are refused."""
    if value < 0:
        raise ValueError("negative")
    return 2 * value


@pipeline(enable_cache=False, model=Model(name="plain", tags=["first"]))
def doubling(value: int) -> None:
    """Give and double."""
    double(give(value))


def main() -> None:
    """Install, open, and do what the first argument says."""
    install()
    initialize(os.environ["ZENML_STORE_URL"])
    client = Client()
    client.set_active_project("default")  # one of two
    what, *arguments = sys.argv[1:]
    {"make": make, "read": read, "open": opened, "work": work}[what](client, *arguments)


def opened(client: Client) -> None:
    """Say which ZenML opened it."""
    print(client.zen_store.get_store_info().version)


def make(client: Client, file: str) -> None:
    """Runs with steps, artifacts, models, tags, metadata, secrets, keys and users."""
    for color, name in (("red", "first"), ("blue", "x" * 64)):
        client.create_tag(name=name, color=color)
    for name, values in SECRETS.items():
        client.create_secret(name, values, private=name == "bytes")
    client.create_user("somebody", password="pass wörd")
    client.create_service_account("trainer", description="for the tests")
    keys = [client.create_api_key("trainer", name=name).key for name in ("one", "two")]
    client.create_service_connector(
        "registry",
        connector_type="docker",
        auth_method="password",
        configuration={"username": "somebody", "password": "geheim"},
        labels={"for": "tests"},
        verify=False,
    )
    client.create_stack_component(
        "other", "local", StackComponentType.ARTIFACT_STORE, configuration={"path": ""}
    )
    client.create_stack(
        "second",
        {StackComponentType.ARTIFACT_STORE: "other", StackComponentType.ORCHESTRATOR: "default"},
    )
    client.create_model("plain", description="of the old version", tags=["first"])
    client.create_project("elsewhere", "another project")
    for value in (1, 12):
        doubling.with_options(run_name=f"run {value}", tags=["first", f"only {value}"])(value)
    with suppress(RuntimeError):
        doubling.with_options(run_name="run -1")(-1)
    client.update_model_version("plain", "1", stage="production", force=True)
    Path(file).write_text(json.dumps(keys))


def read(client: Client, keys: str, file: str) -> None:
    """All that the client lists, with secrets and artifacts in the clear, and whether keys still open."""
    told: dict[str, Any] = {
        name: {str(item.id): item.model_dump(mode="json") for item in _all(getattr(client, name))}
        for name in LISTS
    }
    told["secrets"] = {
        secret.name: client.get_secret(secret.id).secret_values for secret in _all(client.list_secrets)
    }
    told["connectors"] = {
        connector.name: client.get_service_connector(connector.id, expand_secrets=True).configuration.plain
        for connector in _all(client.list_service_connectors)
    }
    told["values"] = {str(version.id): version.load() for version in _all(client.list_artifact_versions)}
    told["keys"] = _opened_by(client, json.loads(Path(keys).read_text()))
    Path(file).write_text(json.dumps(told))


def work(client: Client, number: str) -> None:
    """One more run, and what it gave."""
    doubling.with_options(run_name=f"run {number}")(int(number))
    run = client.get_pipeline_run(f"run {number}")
    print(json.dumps([str(run.status), run.index, run.steps["double"].output.load(), run.model_version.name]))


def _all(find: Callable[..., Any]) -> list[Any]:
    return list(find(size=1_000, hydrate=True))


def _opened_by(client: Client, keys: list[str]) -> list[bool]:
    opened = []
    for text in keys:
        key = APIKey.decode_api_key(text.removeprefix("ZENKEY_"))
        opened.append(client.zen_store.get_internal_api_key(key.id).verify_key(key.key))
    return opened


if __name__ == "__main__":
    main()
