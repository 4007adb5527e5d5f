"""`status` of a cluster: what its endpoints and streams run, and how good that is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.markup import escape

from console import reports
from console.state import champion, check

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

    from db.recorded import Recorded
    from releases.kubernetes.place import Place
    from settings import Settings

Document = dict[str, Any]


def status(settings: Settings) -> Document:
    """Where the platform is, and for each use case its champion, endpoint, stream and newest check.

    Raises:
        StackError: the cluster or its platform does not answer.
        ReleaseError: the cluster refuses to tell of its endpoints.
    """
    import usecases
    from monitoring.log import Remote
    from releases.kubernetes.place import place_in
    from stacks.kubernetes import session

    found = session.connect(settings)
    place = place_in(found, settings.kube_context)
    checks, now = Remote.of_environment(), datetime.now(UTC)
    return {
        "cluster": found.api.configuration.host,
        "namespace": found.namespace,
        "endpoints": place.namespace,
        "use_cases": [
            champion(name, now)
            | _runs(place, name)
            | {"check": next((check(one) for one in checks.listed(name)), None)}
            for name in usecases.names()
        ],
    }


def _runs(place: Place, use_case: str) -> Document:
    from console import stream_pods
    from releases.earlier import serving
    from releases.kubernetes.drift import drift
    from releases.kubernetes.release import TARGET

    known = place.records.history(use_case, TARGET)
    return {
        "endpoint": _endpoint(place, use_case, serving(known)),
        "canary": next((one.model_version for one in known if one.status == "canary"), None),
        "stream": stream_pods.state(place, use_case),
        "drift": drift(place, use_case, known),
    }


def _endpoint(place: Place, use_case: str, recorded: Recorded | None) -> Document | None:
    from releases.kubernetes.objects import Objects
    from releases.kubernetes.place import address

    objects = Objects(place.api, place.namespace, use_case)
    live = objects.live(objects.name)
    if live is None:
        return None
    since = recorded.verified_at if recorded and recorded.image == live.image else None
    return {
        "address": address(place, use_case),
        "model_version": live.model_version,
        "image": live.image,
        "pods": live.replicas,
        "ready": live.ready,
        "since": since.isoformat(timespec="seconds") if since else None,
    }


def report(document: Mapping[str, Any]) -> RenderableType:
    """Where, and a line for each use case; below, what is not as it should be."""
    table = reports.new_table(
        "use case", "champion", ">score", "endpoint", "serves", "pods", "since", "stream", "newest check"
    )
    for row in document["use_cases"]:
        table.add_row(
            row["use_case"],
            *reports.champion(row),
            *_served(row["endpoint"], row["canary"]),
            _streamed(row["stream"]),
            reports.newest(row["check"]),
        )
    wrong = [f"[red]{escape(sentence)}[/]" for row in document["use_cases"] for sentence in row["drift"]]
    old = reports.outdated(document["use_cases"])
    return Group(
        f"Cluster at {document['cluster']}; its platform, in {document['namespace']}, answers; "
        f"endpoints in {document['endpoints']}",
        "",
        table,
        *(["", *wrong, *old] if wrong or old else []),
    )


def _served(endpoint: Document | None, canary: int | None) -> Sequence[str]:
    beside = f", canary {canary}" if canary else ""
    if endpoint is None:
        return ["none", beside.removeprefix(", "), "", ""]
    return [
        endpoint["address"],
        f"version {endpoint['model_version']}{beside}",
        _ready(endpoint["ready"], endpoint["pods"]),
        (endpoint["since"] or "").replace("T", " "),
    ]


def _streamed(stream: Document | None) -> str:
    if stream is None:
        return "none"
    return f"version {stream['version']}, {_ready(stream['ready'], stream['workers'])}"


def _ready(ready: int, wanted: int) -> str:
    return f"[{'green' if ready >= wanted else 'red'}]{ready} of {wanted} ready[/]"
