"""What is asked of ZenML's client: lists with every operator, sorting, paging, and single objects."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any

from zenml.client import Client

Question = tuple[str, Callable[[], Any]]
Filter = dict[str, Any]

TEXT_OPERATORS = ["equals", "notequals", "contains", "notcontains", "startswith", "endswith"]
LIST_OPERATORS = ["oneof", "notoneof"]
ORDER_OPERATORS = ["gt", "gte", "lt", "lte"]
NULL_OPERATORS = ["isnull", "isnotnull"]
TEXTS = ["plain", "PLAIN", "%", "_", "a_b", "\\", "'", '"', "東", "12", "x" * 63, "x" * 64, "absent", ""]
CAPITAL = "Ï"
NUMBERS = ["1", "2.5", "-2", "1e3", "1.5e308"]
TIMES = ["2024-03-01 00:59:59", "2100-01-01 00:00:00"]
# In these lists more than the name is asked of: tags and metadata.
TAGGED = ("models", "model versions", "artifacts", "artifact versions", "pipelines", "runs")
NOTED = ("model versions", "artifact versions", "runs", "steps")


def all_of(client: Client) -> Iterator[Question]:
    """Each question's text, which is unique, and the call that answers it."""
    lists: dict[str, Callable[..., Any]] = {
        "models": client.list_models,
        "model versions": client.list_model_versions,
        "artifacts": client.list_artifacts,
        "artifact versions": client.list_artifact_versions,
        "tags": client.list_tags,
        "pipelines": client.list_pipelines,
        "runs": client.list_pipeline_runs,
        "steps": client.list_run_steps,
        "secrets": client.list_secrets,
        "service accounts": client.list_service_accounts,
        "components": client.list_stack_components,
        "stacks": client.list_stacks,
        "projects": client.list_projects,
    }
    for what, find in lists.items():
        for filter_ in _filters(what, client):
            yield f"{what} {filter_}", _listed(find, filter_)
        yield from _sorted(what, find)
        yield from _paged(what, find)
    yield from _single(client)
    yield from _refused(client)
    yield from _changed(client)


def _filters(what: str, client: Client) -> Iterator[Filter]:
    if what == "artifact versions":  # whose `name` may be the beginning of an id too: nothing hexadecimal
        yield from _texts("name", ["number 1", "NUMBER", "%"])
    elif what == "models":  # every text with every operator once; other lists run through the same code
        yield from _texts("name", TEXTS, NUMBERS)
        yield from _each("name", TEXT_OPERATORS[2:], [CAPITAL])
    else:
        yield from _texts("name", TEXTS[1:3], NUMBERS[:1])
    for logic in ("or", "and"):
        yield {"name": ["contains:l", "startswith:x"], "logical_operator": logic}
        yield {"name": "contains:l", "created": "gt:2100-01-01 00:00:00", "logical_operator": logic}
    yield from _each("created", ["gt", "lte", "notequals", "contains"], TIMES[1:])
    yield from _each("id", TEXT_OPERATORS, ["not an id", "0" * 32])
    if what in TAGGED:
        for filter_ in _texts("tags", ["SHARED"], ["10"]):
            yield {"tags": [filter_["tags"]]}
        yield {"tags": ["plain", "shared"]}
        yield {"tags": ["plain", "12"], "logical_operator": "or"}
    if what in NOTED:
        yield from _noted(thorough=what == "model versions")
    yield from _own(what, client)


def _noted(*, thorough: bool) -> Iterator[Filter]:
    """Metadata are kept as JSON texts: a number is compared as a number, a text as what it starts with."""
    yield from _each("run_metadata", ORDER_OPERATORS, ["0", "0.25", "abc"], before="loss:")
    yield from _each("run_metadata", ["equals", "notequals"], ["0.25", "1.50"], before="loss:")
    yield from _each("run_metadata", ORDER_OPERATORS, ["7", "1e1"], before="note:")
    yield {"run_metadata": ["loss:gt:0", "count:lt:50"]}
    yield {"run_metadata": ["loss:gt:0", "count:lt:50"], "logical_operator": "or"}
    if thorough:
        yield from _each("run_metadata", ORDER_OPERATORS, ["-2", "1e300", "-1e308", ""], before="loss:")
        for key, texts in (("count", ["12", "0"]), ("note", ["7", "ABC", "%", "", "東"])):
            for filter_ in _texts("run_metadata", texts, ["12"]):
                yield {"run_metadata": f"{key}:{filter_['run_metadata']}"}
        yield from _each("run_metadata", TEXT_OPERATORS, ["true", "1"], before="flag:")
        yield from _each("run_metadata", TEXT_OPERATORS[:3], ["1"], before="rate%:")
        yield from _each("run_metadata", TEXT_OPERATORS[:3], ["deep", "2"], before="nested:")


def _own(what: str, client: Client) -> Iterator[Filter]:
    """Filters on columns that only this list has."""
    if what == "model versions":
        yield from _numbers("number")
        yield from _texts("stage", ["staging", "STAG"])
    if what == "artifacts":
        yield from _booleans("has_custom_name")
    if what == "artifact versions":
        yield from _texts("version", ["1", "abc"], ["1"])
        yield from _numbers("version_number")
        yield from _texts("materializer", ["builtin"])
        yield from _booleans("only_unused")
    if what == "tags":
        yield from _booleans("exclusive")
        yield from _texts("color", ["red", "RED"])
        yield from _each("resource_type", ["equals", "notequals"], ["model"])
    if what == "secrets":
        yield from _booleans("private")
    if what == "runs":
        yield from _texts("status", ["completed", "FAIL"])
        yield from _numbers("index")
        yield from _each("start_time", ["equals", "notequals", *ORDER_OPERATORS], [TIMES[0], "yesterday"])
        yield from _each("end_time", [*ORDER_OPERATORS, *NULL_OPERATORS], TIMES[:1])
        yield from _texts("pipeline_name", ["doubling", "DOUBL"])
        yield from _booleans("in_progress")
        yield from _booleans("templatable")
        run = client.get_pipeline_run("run 12").id
        for shape, written in {
            "as it is": str(run),
            "without hyphens": run.hex,
            "in capitals": str(run).upper(),
            "begun": str(run)[:13],
            "ended": str(run)[-13:],
        }.items():
            yield from _each("id", [*TEXT_OPERATORS, *LIST_OPERATORS], [written], shown=f"an id {shape}")
    if what == "steps":
        yield from _texts("status", ["completed", "FAIL"])
        yield from _numbers("version")
        yield from _booleans("cache_expired")
        yield from _booleans("exclude_retried")


def _texts(column: str, texts: list[str], numbers: Iterable[str] = ()) -> Iterator[Filter]:
    yield from _each(column, [*TEXT_OPERATORS, *LIST_OPERATORS, *NULL_OPERATORS], texts)
    yield from _each(column, ORDER_OPERATORS, list(numbers))


def _numbers(column: str) -> Iterator[Filter]:
    yield from _each(column, ["equals", "notequals", *ORDER_OPERATORS], NUMBERS[:3])
    yield from _each(column, ["equals", "contains"], ["abc", ""])
    yield from _each(column, [*LIST_OPERATORS, *NULL_OPERATORS], ["1", "2"])


def _booleans(column: str) -> Iterator[Filter]:
    yield from ({column: value} for value in (True, False))
    yield from _each(column, ["equals", "notequals", "isnull"], ["true", "0", "perhaps"])


class Hidden(str):
    """A value that differs between two databases, shown in a question's text by a name of its own."""

    __slots__ = ("shown",)

    def __repr__(self) -> str:
        return self.shown


def _each(
    column: str, operators: Iterable[str], values: list[str], *, before: str = "", shown: str = ""
) -> Iterator[Filter]:
    """Every operator with every value; those that take a list get all values, those that take none one."""
    for operator in operators:
        if operator in NULL_OPERATORS:
            asked = [""]
        elif operator in LIST_OPERATORS:
            asked = [json.dumps(values)]
        else:
            asked = values
        for value in asked:
            text = Hidden(f"{before}{operator}:{value}")
            text.shown = repr(f"{before}{operator}:{shown or value}")
            yield {column: text}


def _listed(find: Callable[..., Any], filter_: Filter) -> Callable[[], Any]:
    """How many there are, and what they are called in the order of their creation."""

    def ask() -> Any:
        page = find(**{"size": 1000, "sort_by": "asc:created"} | filter_)
        return [page.total, [_name(item) for item in page]]

    return ask


def _sorted(what: str, find: Callable[..., Any]) -> Iterator[Question]:
    """By columns with and without NULL. Of equals ZenML leaves open who is first: they are one group."""
    keys: dict[str, Callable[[Any], Any]] = {"name": _name, "created": _name}
    if what == "model versions":
        keys |= {"number": lambda item: item.number, "stage": lambda item: str(item.stage)}
    if what == "artifact versions":
        keys |= {"version": lambda item: item.version, "type": lambda item: str(item.type)}
    if what == "runs":
        keys |= {
            "index": lambda item: item.index,
            "status": lambda item: str(item.status),
            "start_time": lambda item: str(item.start_time)[:4],
            "end_time": lambda item: str(item.end_time)[:4],
            "pipeline": lambda item: item.pipeline.name,
            "stack": lambda item: item.stack.name,
        }
    if what == "steps":
        keys |= {"status": lambda item: str(item.status), "start_time": _name}
    if what in {"models", "artifacts"}:
        keys |= {"latest_version": _name}
    if what == "pipelines":
        keys |= {"latest_run": _name}
    for key, value in keys.items():
        for direction in ("asc", "desc"):

            def ask(order: str = f"{direction}:{key}", value: Callable[[Any], Any] = value) -> Any:
                found = find(sort_by=order, size=1000, hydrate=what == "runs")
                return [[name, sorted(map(_name, group))] for name, group in groupby(found, value)]

            yield f"{what} sorted {direction}:{key}", ask


def _paged(what: str, find: Callable[..., Any]) -> Iterator[Question]:
    for size, page in ((1, 2), (3, 1), (3, 2), (3, 99), (0, 1)):
        for order in ("asc:created", "desc:name" if what in {"models", "tags"} else "desc:created"):

            def ask(size: int = size, page: int = page, order: str = order) -> Any:
                found = find(size=size, page=page, sort_by=order)
                return [found.total, found.total_pages, found.index, [_name(item) for item in found]]

            yield f"{what} page {page} of {size} each by {order}", ask


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


def _changed(client: Client) -> Iterator[Question]:
    """What is changed and deleted, and what goes with it."""

    def all_names(find: Callable[..., Any], **filters: Any) -> list[str]:
        return [_name(item) for item in find(size=1000, sort_by="asc:created", **filters)]

    yield "rename a model", lambda: client.update_model("aXb", name="b" * 64).name
    yield (
        "change a secret",
        lambda: client.update_secret("text", add_or_update_values={"key": "\x7fé"}).secret_values,
    )
    yield "delete a tag", lambda: client.delete_tag("shared")
    yield "what had the tag", lambda: all_names(client.list_models, tags=["shared"])
    yield "delete a model", lambda: client.delete_model("plain")
    yield "its versions", lambda: all_names(client.list_model_versions)
    yield "delete a run", lambda: client.delete_pipeline_run("run 12")
    yield "its steps", lambda: all_names(client.list_run_steps)
    yield "what it wrote", lambda: all_names(client.list_artifact_versions)
    yield (
        "delete an artifact",
        lambda: client.delete_artifact_version(
            client.get_artifact_version("number 2").id, delete_metadata=True
        ),
    )
    yield "what is left of it", lambda: all_names(client.list_artifact_versions)
    yield "delete a pipeline", lambda: client.delete_pipeline("doubling")
    yield "its runs", lambda: all_names(client.list_pipeline_runs)


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


def _name(item: Any) -> str:
    """What a person would call it; steps and versions of different parents are told apart."""
    if hasattr(item, "artifact") and hasattr(item, "version"):
        return f"{item.artifact.name} {item.version}"
    return str(item.name)
