"""`stream` on a cluster: its workers as pods, deployed, printed and taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from console.progress import Progress
    from releases.kubernetes.place import Place
    from releases.kubernetes.stream import Workers
    from settings import Settings

Document = dict[str, Any]


def asked(count: int | None, window: str, named: Mapping[str, str | None]) -> Workers:
    """What a person asked of the workers; `named` are options that `stream` takes in pods, too.

    Raises:
        UsageError: `window` is no time.
    """
    from console.watching import seconds
    from releases.kubernetes.stream import Workers

    seconds(window)
    given = {name: value for name, value in {**named, "window": window}.items() if value}
    return Workers([f"--{name}={value}" for name, value in given.items()], count)


def deploy(settings: Settings, progress: Progress, use_case: str, workers: Workers) -> Document:
    """Run a stream of what serves, and wait until its workers are ready.

    Raises:
        ReleaseError: nothing serves, or a worker does not get ready.
        UsageError: nothing says where the broker is.
    """
    from releases.kubernetes import stream

    place = _place(settings, progress, use_case)
    with progress.stage("workers"):
        stream.deploy(place, use_case, workers, _broker(settings))
    return {"use_case": use_case, "namespace": place.namespace, "stream": state(place, use_case)}


def render(settings: Settings, progress: Progress, use_case: str, workers: Workers) -> str:
    """The manifests of a stream; nothing of it is applied.

    Raises:
        ReleaseError: nothing serves.
        UsageError: nothing says where the broker is.
    """
    from releases.kubernetes import manifests, stream

    place = _place(settings, progress, use_case)
    address = stream.address_of(place, use_case, _broker(settings))
    return manifests.text(stream.render(place, stream.serves(place, use_case), workers, address))


def stop(settings: Settings, progress: Progress, use_case: str) -> Document:
    """Take a stream away; its workers write the batches at work before they end.

    Raises:
        UsageError: there is none.
    """
    from releases.kubernetes import manifests, stream

    place = _place(settings, progress, use_case)
    if not stream.remove(place, use_case):
        raise UsageError(f"There is no {manifests.stream_name(use_case)} in {place.namespace}.")
    return {"use_case": use_case, "namespace": place.namespace, "stream": None}


def state(place: Place, use_case: str) -> Document | None:
    """What the stream of a use case runs; None: there is none."""
    from releases.kubernetes import manifests, stream

    found = stream.look(place, use_case)
    if found is None:
        return None
    return {
        "name": manifests.stream_name(use_case),
        "version": found.model_version,
        "image": found.image,
        "workers": found.replicas,
        "ready": found.ready,
    }


def report(document: Mapping[str, Any]) -> RenderableType:
    """What runs, and where to look."""
    use_case, namespace, found = document["use_case"], document["namespace"], document["stream"]
    if found is None:
        return (
            f"The stream of [bold]{use_case}[/] is gone from {namespace}. Its place in the topics is kept: "
            "deployed again, it goes on there."
        )
    kubectl, name = f"kubectl --namespace {namespace}", found["name"]
    return (
        f"[bold]{name}[/] scores by version {found['version']} in {namespace}: {found['ready']} of "
        f"{found['workers']} workers ready.\n"
        f"Its log:      {kubectl} logs deployment/{name} --follow\n"
        f"Its metrics:  {kubectl} port-forward deployment/{name} 9400, then http://localhost:9400/metrics"
    )


def _place(settings: Settings, progress: Progress, use_case: str) -> Place:
    import usecases
    from releases.kubernetes.place import place_of

    usecases.contract_of(use_case)
    with progress.stage("cluster"):
        return place_of(settings)


def _broker(settings: Settings) -> dict[str, str | None] | None:
    """The Secret's values where the settings name a broker; None: those that it has hold."""
    import broker

    return broker.secret(settings) if settings.kafka else None
