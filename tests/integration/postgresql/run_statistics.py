"""Statistics of runs: every grouping and metric, times at the edges of days, weeks, months and years."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import product
from typing import Any

from asking import Question
from zenml import models
from zenml.client import Client
from zenml.models.v2.misc.run_statistics import (
    StatisticsAggregation,
    StatisticsGroupingType,
    StatisticsMetricSource,
    StatisticsTimeGranularity,
)

KEYS = ("loss", "count", "note", "flag", "list", "absent")
AT_EDGES = {"name": "startswith:edge"}
REAL = {"name": "startswith:run "}
FILTERS: dict[str, dict[str, Any]] = {
    "runs at the edges": AT_EDGES,
    "tagged runs": {"name": "startswith:edge", "tags": ["shared"]},
    "runs that are not there": {"name": "absent"},
}


def questions(client: Client) -> Iterator[Question]:
    """By one grouping, by two, by none; shortened; of some runs."""
    groupings = [*_groupings()]
    timed = [grouping for grouping in groupings if grouping["type"] == "time"]
    plain = [grouping for grouping in groupings if grouping["type"] in ("status", "tag", "metadata", "time")]
    ask = _asking(client)
    for which, grouping in product(FILTERS, [None, *groupings]):
        grouped = [grouping] if grouping else []
        yield f"statistics of {which} by {_shown(grouped)}", ask(FILTERS[which], grouped, _metrics())
    for grouping in groupings:
        if grouping not in timed:  # real runs take other times in each store
            metrics = [metric for metric in _metrics() if metric["source"] != "duration"]
            yield f"statistics of real runs by {_shown([grouping])}", ask(REAL, [grouping], metrics)
    for pair in product(timed, groupings):
        if pair[1] not in timed:
            yield f"statistics by {_shown(pair)}", ask(AT_EDGES, pair, [])
    for most, grouping in product((1, 2, 3), plain):
        yield f"statistics by {_shown([grouping])}, at most {most}", ask(AT_EDGES, [grouping], [], most)
    for unit in timed:
        yield (
            f"the last microsecond of a month by {_shown([unit])}",
            ask({"name": "last microsecond"}, [unit], []),
        )


def _groupings() -> Iterator[dict[str, Any]]:
    for type_ in StatisticsGroupingType:
        if type_ == StatisticsGroupingType.TIME:
            yield from (
                {"name": unit.value, "type": type_.value, "granularity": unit.value}
                for unit in StatisticsTimeGranularity
            )
        elif type_ == StatisticsGroupingType.METADATA:
            yield from ({"name": key, "type": type_.value, "metadata_key": key} for key in KEYS)
        else:
            yield {"name": type_.value, "type": type_.value}


def _metrics() -> list[dict[str, Any]]:
    found = []
    for source, aggregation in product(StatisticsMetricSource, StatisticsAggregation):
        keys = ("loss", "count") if source == StatisticsMetricSource.METADATA else (None,)
        for key in keys:
            metric = {"name": f"{aggregation} {source} {key}", "source": source, "aggregation": aggregation}
            found.append(metric | ({"metadata_key": key} if key else {}))
    return found


def _asking(client: Client) -> Callable[..., Callable[[], Any]]:
    """Ids are shown by the names of what they are ids of."""
    project = client.active_project.id
    names: dict[str, str] = {}
    lists = (client.list_pipelines, partial(client.list_snapshots, named_only=False), client.list_stacks)
    for find in (*lists, client.list_users):
        found = find(size=1000, sort_by="asc:created")
        names |= {item.id.hex: f"{at} {item.name}" for at, item in enumerate(found)}

    def ask(
        filter_: dict[str, Any], groupings: Any, metrics: list[Any], max_groups: int = 1000
    ) -> Callable[[], Any]:
        def answer() -> Any:
            request = models.RunStatisticsRequest(
                filter=models.PipelineRunFilter(project=project, **filter_),
                groupings=groupings,
                metrics=metrics,
                max_groups=max_groups,
            )
            found = client.zen_store.get_run_statistics(request)
            groups = [
                [
                    {key: _named(value, names) for key, value in group.group_keys.items()},
                    group.run_count,
                    # Days as SQLite counts them are exact to some 40 microseconds.
                    {name: value and float(f"{value:.6g}") for name, value in group.metrics.items()},
                ]
                for group in found.groups
            ]
            if any(set(group[0].values()) & set(names.values()) for group in groups):
                groups.sort(key=repr)  # of equals the one with the lowest id is first
            return [groups, found.truncated]

        return answer

    return ask


def _named(value: Any, names: dict[str, str]) -> Any:
    return names.get(str(value).replace("-", ""), value)


def _shown(groupings: Iterable[dict[str, Any]]) -> str:
    return " and ".join(f"{grouping['type']} {grouping['name']}" for grouping in groupings) or "nothing"
