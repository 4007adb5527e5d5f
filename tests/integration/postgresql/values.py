"""Names, tags, metadata, ids and numbers, looked for by every operator where they are at home."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from asking import (
    LIST_OPERATORS,
    ORDER_OPERATORS,
    TEXT_OPERATORS,
    Filter,
    Question,
    each,
    listed,
    texts,
)
from zenml.client import Client

TEXTS = ["plain", "PLAIN", "%", "_", "a_b", "\\", "'", '"', "東", "12", "x" * 63, "x" * 64, "absent", ""]
CAPITAL = "Ï"
NUMBERS = ["1", "2.5", "-2", "1e3", "1.5e308"]
# Compared with a column of numbers: each both before and after another, since statements are kept and reused.
INTERVALS = ["abc", "60", "abc", "", "90061.0", "6e1", "1e400", "60abc", "nan", "60"]


def questions(client: Client) -> Iterator[Question]:
    """Each list with its own filters."""
    tagged: dict[str, Callable[..., Any]] = {
        "models": client.list_models,
        "model versions": client.list_model_versions,
        "artifacts": client.list_artifacts,
        "artifact versions": client.list_artifact_versions,
        "pipelines": client.list_pipelines,
        "runs": client.list_pipeline_runs,
    }
    for what, find in tagged.items():
        for filter_ in (*_tags(), *_logic()):
            yield f"{what} {filter_}", listed(find, filter_)
    noted = {name: tagged[name] for name in ("model versions", "artifact versions", "runs")}
    for what, find in (noted | {"steps": client.list_run_steps}).items():
        for filter_ in _noted(thorough=what == "model versions"):
            yield f"{what} {filter_}", listed(find, filter_)
    for filter_ in (*texts("name", TEXTS, NUMBERS), *each("name", TEXT_OPERATORS[2:], [CAPITAL])):
        yield f"models {filter_}", listed(client.list_models, filter_)
    for filter_ in _ids(client):
        yield f"runs {filter_}", listed(client.list_pipeline_runs, filter_)
    for number, interval in enumerate(INTERVALS):
        for operator in ("equals", "notequals"):
            filter_ = {"interval_second": f"{operator}:{interval}"}
            yield f"schedules {filter_}, asked {number}", listed(client.list_schedules, filter_)
    for part in ("contains:00", "contains:.0"):
        filter_ = {"interval_second": part}
        yield f"schedules {filter_}", listed(client.list_schedules, filter_)
    yield "schedules of intervals", listed(client.list_schedules, {"interval_second": 'oneof:["abc", "60"]'})


def _logic() -> Iterator[Filter]:
    for logic in ("or", "and"):
        yield {"name": ["contains:l", "startswith:x"], "logical_operator": logic}
        yield {"name": "contains:l", "created": "gt:2100-01-01 00:00:00", "logical_operator": logic}


def _tags() -> Iterator[Filter]:
    for filter_ in texts("tags", ["SHARED"], ["10"]):
        yield {"tags": [filter_["tags"]]}
    yield {"tags": ["plain", "shared"]}
    yield {"tags": ["plain", "12"], "logical_operator": "or"}


def _noted(*, thorough: bool) -> Iterator[Filter]:
    """Metadata are kept as JSON texts: a number is compared as a number, a text as what it starts with."""
    yield from each("run_metadata", ORDER_OPERATORS, ["0", "0.25", "abc"], before="loss:")
    yield from each("run_metadata", ["equals", "notequals"], ["0.25", "1.50"], before="loss:")
    yield {"run_metadata": ["loss:gt:0", "count:lt:50"]}
    yield {"run_metadata": ["loss:gt:0", "count:lt:50"], "logical_operator": "or"}
    if thorough:
        yield from each("run_metadata", ORDER_OPERATORS, ["7", "1e1"], before="note:")
        yield from each("run_metadata", ORDER_OPERATORS, ["-2", "1e300", "-1e308", ""], before="loss:")
        for key, values in (("count", ["12", "0"]), ("note", ["7", "ABC", "%", "", "東"])):
            for filter_ in texts("run_metadata", values, ["12"]):
                yield {"run_metadata": f"{key}:{filter_['run_metadata']}"}
        yield from each("run_metadata", TEXT_OPERATORS, ["true", "1"], before="flag:")
        yield from each("run_metadata", TEXT_OPERATORS[:3], ["1"], before="rate%:")
        yield from each("run_metadata", TEXT_OPERATORS[:3], ["deep", "2"], before="nested:")


def _ids(client: Client) -> Iterator[Filter]:
    yield from each("id", TEXT_OPERATORS, ["not an id", "0" * 32])
    run = client.get_pipeline_run("run 12").id
    for shape, written in {
        "as it is": str(run),
        "without hyphens": run.hex,
        "in capitals": str(run).upper(),
        "begun": str(run)[:13],
        "ended": str(run)[-13:],
    }.items():
        yield from each("id", [*TEXT_OPERATORS, *LIST_OPERATORS], [written], shown=f"an id {shape}")
