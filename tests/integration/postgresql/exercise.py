"""Make the same objects in a ZenML store and ask ZenML's client many questions about them.

Run as a process of its own for each database: `python exercise.py ANSWERS.json`.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import questions
from zenml import log_metadata, pipeline, save_artifact, step
from zenml.client import Client
from zenml.enums import ExecutionStatus, MetadataResourceTypes, StackComponentType
from zenml.models import PipelineRunRequest, PipelineRunUpdate, RunMetadataResource

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


def main() -> None:
    """Make the objects, ask, write the answers down."""
    url = os.environ["ZENML_STORE_URL"]
    if url.startswith("postgresql"):
        from stacks.postgresql import initialize, install

        install()
        initialize(url)
    client = Client()
    _make(client)
    answers = {text: _answer(question) for text, question in questions.all_of(client)}
    Path(sys.argv[1]).write_text(json.dumps(answers))


def _answer(question: Any) -> Any:
    """The answer, or which error it was: that belongs to the answer too."""
    try:
        return question()
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}"


def _make(client: Client) -> None:
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


def _tags(index: int) -> list[str]:
    return [name for name in (NAMES[index % len(NAMES)], "shared") if index % 5 != 1]


def _note(client: Client, id_: UUID, type_: MetadataResourceTypes, metadata: dict[str, Any]) -> None:
    if metadata:
        client.create_run_metadata(metadata, [RunMetadataResource(id=id_, type=type_)])


def _make_runs(client: Client) -> None:
    """Real runs by the local orchestrator, one failed, and entries of others that go on or have ended."""
    for value in (1, 12, -1):
        with suppress(RuntimeError):
            doubling.with_options(run_name=f"run {value}", tags=_tags(abs(value)))(value)
    real = client.list_pipeline_runs(name="run 1", hydrate=True).items[0]
    assert real.pipeline
    assert real.snapshot
    began = datetime(2024, 2, 29, 23, 59, 59, 999_999)
    ends = [None, ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.STOPPED]
    for index, name in enumerate(RUNS):
        run, _ = client.zen_store.get_or_create_run(
            PipelineRunRequest(
                project=real.project_id,
                name=name,
                snapshot=real.snapshot.id,
                pipeline=real.pipeline.id,
                orchestrator_run_id=f"order {index}",
                start_time=began + timedelta(hours=index) if index % 3 else None,
                status=ExecutionStatus.RUNNING,
                tags=_tags(index),
            )
        )
        if end := ends[index % len(ends)]:
            update = PipelineRunUpdate(status=end, end_time=began + timedelta(days=index))
            client.zen_store.update_run(run.id, update)
        metadata = METADATA[index % len(METADATA)]
        _note(client, run.id, MetadataResourceTypes.PIPELINE_RUN, metadata)


if __name__ == "__main__":
    main()
