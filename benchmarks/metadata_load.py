"""What clients of ZenML's metadata store do in the benchmark: record runs, fill the tables, ask, delete.

Every client is a process of its own, forked by benchmarks/metadata_store.py.
"""

import os
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Table, insert, select
from sqlmodel import SQLModel
from zenml import pipeline, step
from zenml.client import Client
from zenml.config.global_config import GlobalConfiguration
from zenml.enums import ArtifactSaveType, ArtifactType, ExecutionStatus, MetadataResourceTypes
from zenml.models import (
    ArtifactVersionRequest,
    PipelineRunFilter,
    PipelineRunRequest,
    PipelineRunUpdate,
    RunMetadataResource,
    RunStatisticsRequest,
    SimpleGrouping,
    SimpleMetric,
    StatisticsAggregation,
    StatisticsGroupingType,
    StatisticsMetricSource,
    StatisticsTimeGranularity,
    StepRunRequest,
    StepRunUpdate,
    TimeGrouping,
)

from stacks.postgresql import initialize, install

STEPS = 5
TEMPLATE = "template"
Times = dict[str, list[float]]


@step(enable_cache=False)
def count(value: int) -> int:
    """One more."""
    return value + 1


@pipeline(enable_cache=False)
def counting() -> None:
    """A chain of steps, each of which reads what the one before it wrote."""
    value: Any = 0
    for number in range(STEPS):
        value = count(value, id=f"step_{number}")


def open_client(url: str) -> Client:
    """This process's client, on the store of that URL."""
    os.environ["ZENML_STORE_URL"] = url
    # Made when ZenML was imported, from the environment of then.
    GlobalConfiguration._reset_instance()
    Client._reset_instance()
    if url.startswith("postgresql"):
        install()
        initialize(url)
    client = Client()
    _ = client.zen_store
    return client


def prepare(client: Client) -> None:
    """A real run with its steps and artifacts, which all other runs are made after."""
    counting.with_options(run_name=TEMPLATE, tags=["nightly"])()
    run = client.get_pipeline_run(TEMPLATE)
    _note(client, run.id)


def work(client: Client, name: str, turns: int) -> Times:
    """Record `turns` runs as an orchestrator does, look at them as its user does; seconds by operation."""
    template = client.get_pipeline_run(TEMPLATE, hydrate=True)
    made = template.steps["step_0"].output
    times: Times = defaultdict(list)
    for turn in range(turns):
        _record(client, template, made, f"{name} {turn}", times)
    return dict(times)


def _record(client: Client, template: Any, made: Any, name: str, times: Times) -> None:
    store, project = client.zen_store, template.project_id
    with _timed(times, "create a run"):
        run, _ = store.get_or_create_run(
            PipelineRunRequest(
                project=project,
                name=name,
                snapshot=template.snapshot.id,
                orchestrator_run_id=name,
                start_time=datetime(2025, 1, 1),
                status=ExecutionStatus.RUNNING,
                tags=["nightly"],
            )
        )
    inputs: dict[str, Any] = {}
    for number in range(2):
        with _timed(times, "create a step"):
            begun = store.create_run_step(
                StepRunRequest(
                    project=project,
                    name=f"step_{number}",
                    start_time=datetime(2025, 1, 1),
                    status=ExecutionStatus.RUNNING,
                    pipeline_run_id=run.id,
                    inputs=inputs,
                )
            )
        with _timed(times, "create an artifact version"):
            version = store.create_artifact_version(
                ArtifactVersionRequest(
                    project=project,
                    artifact_name=f"benchmark {number}",
                    type=ArtifactType.DATA,
                    artifact_store_id=made.artifact_store_id,
                    uri=f"{made.uri}/{name}/{number}",
                    materializer=made.materializer,
                    data_type=made.data_type,
                    save_type=ArtifactSaveType.STEP_OUTPUT,
                    metadata={"rows": 100},
                )
            )
        with _timed(times, "end a step"):
            store.update_run_step(
                begun.id,
                StepRunUpdate(
                    status=ExecutionStatus.COMPLETED,
                    end_time=datetime(2025, 1, 1, 1),
                    outputs={"output": [version.id]},
                ),
            )
        inputs = {"value": [version.id]}
    with _timed(times, "log metadata"):
        _note(client, run.id)
    with _timed(times, "end a run"):
        ended = PipelineRunUpdate(status=ExecutionStatus.COMPLETED, end_time=datetime(2025, 1, 1, 1))
        store.update_run(run.id, ended)
    with _timed(times, "read a run with its steps"):
        assert len(client.get_pipeline_run(run.id).steps) == 2
    with _timed(times, "list the newest runs"):
        assert client.list_pipeline_runs(size=20, sort_by="desc:created").items
    with _timed(times, "list a run's steps"):
        assert len(client.list_run_steps(pipeline_run_id=run.id)) == 2


def _note(client: Client, run: uuid.UUID) -> None:
    resource = RunMetadataResource(id=run, type=MetadataResourceTypes.PIPELINE_RUN)
    client.create_run_metadata({"loss": 0.25, "rows": 100}, [resource])


def fill(client: Client, runs: int) -> None:
    """Copy the template's rows so often, with ids, names, numbers and times of their own."""
    store: Any = client.zen_store
    with store.engine.connect() as connection:
        rows = _template(connection)
    ids = {row["id"] for _, found in rows for row in found if "id" in row}
    for begin in range(0, runs, 500):
        numbers = range(begin, min(begin + 500, runs))
        with store.engine.begin() as connection:
            for table, found in rows:
                copies = [_copy(table.name, row, ids, number) for number in numbers for row in found]
                connection.execute(insert(table), copies)


def gather_statistics(client: Client) -> None:
    """Have PostgreSQL and MariaDB look at their tables, as they do by themselves; SQLite never does."""
    store: Any = client.zen_store
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("VACUUM ANALYZE")
        if connection.dialect.name == "mysql":
            for table in SQLModel.metadata.tables:
                connection.exec_driver_sql(f"ANALYZE TABLE `{table}`").all()


def _template(connection: Connection) -> list[tuple[Table, list[dict[str, Any]]]]:
    """The template's rows in the order in which they can be inserted."""
    tables = SQLModel.metadata.tables
    found: dict[str, list[dict[str, Any]]] = {}

    def take(name: str, column: str, values: list[Any]) -> None:
        query = select(tables[name]).where(tables[name].c[column].in_(values))
        found[name] = [dict(row) for row in connection.execute(query).mappings()]

    def of(name: str, column: str = "id") -> list[Any]:
        return [row[column] for row in found[name]]

    take("pipeline_run", "name", [TEMPLATE])
    take("step_run", "pipeline_run_id", of("pipeline_run"))
    take("step_run_output_artifact", "step_id", of("step_run"))
    take("step_run_input_artifact", "step_id", of("step_run"))
    take("step_run_parents", "child_id", of("step_run"))
    take("artifact_version", "id", of("step_run_output_artifact", "artifact_id"))
    take("run_metadata_resource", "resource_id", of("pipeline_run"))
    take("run_metadata", "id", of("run_metadata_resource", "run_metadata_id"))
    take("tag_resource", "resource_id", of("pipeline_run"))
    return [(table, found[table.name]) for table in SQLModel.metadata.sorted_tables if table.name in found]


def _copy(table: str, row: dict[str, Any], ids: set[Any], number: int) -> dict[str, Any]:
    copy: dict[str, Any] = {
        column: uuid.uuid5(value, str(number)) if isinstance(value, uuid.UUID) and value in ids else value
        for column, value in row.items()
    }
    for column in ("created", "updated", "start_time", "end_time"):
        if copy.get(column):
            copy[column] += timedelta(minutes=number - 1_000_000)
    if table == "pipeline_run":
        status = ("completed", "completed", "completed", "failed")[number % 4]
        name = f"filled {number}"
        copy |= {"name": name, "index": number + 1_000_000, "orchestrator_run_id": name, "status": status}
    elif table == "artifact_version":
        version = number + 1_000_000
        copy |= {"version": str(version), "version_number": version, "uri": f"{row['uri']}/{number}"}
    elif table == "run_metadata" and row["key"] == "rows":
        copy["value"] = str(number)
    return copy


def questions(client: Client, runs: int) -> dict[str, Callable[[], Any]]:
    """What is asked of a store with many runs, each for what it finds."""
    store: Any = client.zen_store
    some = client.get_pipeline_run(f"filled {runs // 2}", hydrate=False)
    project = some.project_id

    def statistics() -> Any:
        groupings = [
            SimpleGrouping(name="status", type=StatisticsGroupingType.STATUS),
            TimeGrouping(
                name="day", type=StatisticsGroupingType.TIME, granularity=StatisticsTimeGranularity.DAY
            ),
        ]
        metrics = [
            SimpleMetric(
                name="seconds", aggregation=StatisticsAggregation.AVG, source=StatisticsMetricSource.DURATION
            )
        ]
        request = RunStatisticsRequest(
            filter=PipelineRunFilter(project=project), groupings=groupings, metrics=metrics
        )
        return store.get_run_statistics(request).groups

    last = runs // 20
    return {
        "list the newest runs": lambda: client.list_pipeline_runs(sort_by="desc:created", size=20),
        "list the newest runs, hydrated": lambda: client.list_pipeline_runs(
            sort_by="desc:created", size=20, hydrate=True
        ),
        "list the oldest runs by page": lambda: client.list_pipeline_runs(
            sort_by="desc:created", size=20, page=last
        ),
        "filter runs by status": lambda: client.list_pipeline_runs(status="failed", sort_by="desc:created"),
        "filter runs by part of a name": lambda: client.list_pipeline_runs(
            name=f"contains:{runs - 1}", sort_by="desc:created"
        ),
        "filter runs by tag": lambda: client.list_pipeline_runs(tags=["nightly"], sort_by="desc:created"),
        "filter runs by metadata": lambda: client.list_pipeline_runs(run_metadata=f"rows:gt:{runs - 50}"),
        "read a run with its steps": lambda: client.get_pipeline_run(some.id).steps,
        "list the newest steps": lambda: client.list_run_steps(sort_by="desc:created", size=20),
        "filter steps by name and status": lambda: client.list_run_steps(
            name="step_3", status="completed", sort_by="desc:created"
        ),
        "list a run's steps": lambda: client.list_run_steps(pipeline_run_id=some.id),
        "list the newest artifact versions": lambda: client.list_artifact_versions(
            sort_by="desc:created", size=20
        ),
        "list pipelines by latest run": lambda: client.list_pipelines(sort_by="desc:latest_run"),
        "run statistics by day and status": statistics,
    }


def ask(client: Client, runs: int, times_each: int) -> Times:
    """Seconds of each question."""
    times: Times = defaultdict(list)
    for text, question in questions(client, runs).items():
        for _ in range(times_each):
            with _timed(times, text):
                found = question()
            assert len(found) > 0, f"Nothing was found: {text}"
    return dict(times)


def delete(client: Client, first: int, number: int) -> Times:
    """Delete that many of the filled runs with their steps, from the first on."""
    times: Times = defaultdict(list)
    for run in range(first, first + number):
        id_ = client.get_pipeline_run(f"filled {run}", hydrate=False).id
        with _timed(times, "delete a run with its steps"):
            client.delete_pipeline_run(id_)
    return dict(times)


@contextmanager
def _timed(times: Times, operation: str) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    times[operation].append(time.perf_counter() - begun)
