"""Single objects with all that hangs on them, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from asking import Question
from zenml.client import Client


def questions(client: Client) -> Iterator[Question]:
    """What is there, then what cannot be."""
    yield from _single(client)
    yield from _refused(client)


def _single(client: Client) -> Iterator[Question]:
    """Single objects with all that hangs on them."""
    for secret in client.list_secrets(size=100):
        yield f"secret {secret.name}", lambda name=secret.name: client.get_secret(name).secret_values
    for run in client.list_pipeline_runs(size=100, sort_by="asc:created"):
        yield f"run {run.name}", lambda name=run.name: _run(client.get_pipeline_run(name))
    for version in client.list_model_versions(model="plain", size=100, sort_by="asc:number"):
        yield f"version {version.name}", lambda name=version.name: _version(client, name)
    for model in client.list_models(size=100, sort_by="asc:created"):
        yield f"model {model.name}", lambda name=model.name: _model(client.get_model(name))
    yield "latest version", lambda: client.get_model_version("plain").name
    yield "version in production", lambda: client.get_model_version("plain", "production").name
    yield "artifact", lambda: client.get_artifact_version("number 1").load()
    yield "artifact by version", lambda: client.get_artifact_version("number 1", "1").load()


def _refused(client: Client) -> Iterator[Question]:
    """What is there already or is too long, and what is not there."""
    for name in ("plain", "pLAIN", "x" * 255, "x" * 256, "z" * 64):
        yield f"create model {name}", lambda name=name: client.create_model(name).name
        yield f"create tag {name}", lambda name=name: client.create_tag(name=name).name
        yield f"create secret {name}", lambda name=name: client.create_secret(name, {"a": "b"}).name
    yield "no such run", lambda: client.get_pipeline_run("absent").name
    yield "a prefix that fits two", lambda: client.get_pipeline_run("PLAI").name
    yield "no such tag", lambda: client.delete_tag("absent")


def _run(run: Any) -> Any:
    steps = {
        name: [str(step.status), _metadata(step), sorted(step.inputs), sorted(step.outputs)]
        for name, step in run.steps.items()
    }
    times = [str(time) for time in (run.start_time, run.end_time)] if not steps else None
    tags = sorted(tag.name for tag in run.tags)
    return [run.index, str(run.status), times, tags, _metadata(run), steps]


def _version(client: Client, name: str) -> Any:
    version = client.get_model_version("plain", name)
    return [version.number, str(version.stage), sorted(tag.name for tag in version.tags), _metadata(version)]


def _model(model: Any) -> Any:
    return [model.description, model.latest_version_name, sorted(tag.name for tag in model.tags)]


def _metadata(noted: Any) -> dict[str, str]:
    # Some of what the orchestrator notes by itself names folders and processes.
    ours = ("loss", "count", "note", "flag", "list", "nested", "rate", "value", "LOSS")
    return {key: repr(value) for key, value in noted.run_metadata.items() if key.startswith(ours)}
