"""`release`, `rollback` and `history`: what is put behind an endpoint, taken back, and on record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from console.session import open_session, stages
from errors import ReleaseError, UsageError

if TYPE_CHECKING:
    from console.progress import Progress
    from db.recorded import Recorded
    from releases.kubernetes.release import Canary
    from releases.outcome import Outcome
    from settings import Settings

Document = dict[str, Any]


def is_cluster(stack: str) -> bool:
    """Whether a stack's endpoints are in a cluster.

    Raises:
        UsageError: there is no such stack.
    """
    from stacks import spec

    return spec.read(spec.named(stack)).platform == "kubernetes"


def release(
    settings: Settings,
    stack: str,
    progress: Progress,
    use_case: str,
    version: str,
    *,
    canary: str | None = None,
    seconds: float = 60,
    require_approval: bool = False,
) -> Document:
    """Put a model version behind its endpoint."""
    import usecases

    usecases.load(use_case)
    share = _canary(stack, canary, seconds)
    open_session(settings, stack, progress)
    done = run_release(progress, use_case, version, canary=share, require_approval=require_approval)
    return done | {"stages": stages(progress)}


def run_release(
    progress: Progress,
    use_case: str,
    version: str,
    *,
    why: str | None = None,
    canary: Canary | None = None,
    require_approval: bool = False,
) -> Document:
    """The pipeline of a release, on the stack that is open."""
    from pipelines.release import release

    with progress.pipeline("release"):
        released = release(use_case, version, why=why, canary=canary, require_approval=require_approval)
    return document_of(use_case, released.outcome, released.run.name)


def document_of(use_case: str, outcome: Outcome, run: str | None) -> Document:
    """What came of a release."""
    return {"use_case": use_case, **outcome.model_dump(), "run": run}


def render(settings: Settings, stack: str, progress: Progress, use_case: str, version: str) -> str:
    """The manifests of an endpoint, its image pushed; nothing of it is applied."""
    import usecases

    usecases.load(use_case)
    if not is_cluster(stack):
        raise UsageError(f"Only endpoints in a cluster have manifests; {stack!r} is this machine.")
    open_session(settings, stack, progress)
    from pipelines.release import publish
    from releases.kubernetes import manifests
    from releases.kubernetes.place import place_of
    from releases.kubernetes.release import Wanted, render

    with progress.pipeline("publish"):
        run, number = publish(use_case, version)
    image, bento = run.output("publish", "image"), run.output("publish", "bento")
    return manifests.text(render(place_of(settings), Wanted(use_case, number, bento, image, version)))


def rollback(
    settings: Settings, stack: str, progress: Progress, use_case: str, version: int | None
) -> Document:
    """Serve again what served before."""
    import usecases

    usecases.load(use_case)
    if is_cluster(stack):
        from db.releases import ROLLBACK
        from releases.kubernetes.place import place_of
        from releases.kubernetes.release import rollback
        from releases.tell import tell

        with progress.stage("cluster"):
            place = place_of(settings)
        with progress.stage("roll back"):
            outcome = rollback(place, use_case, version)
        tell(settings, use_case, outcome, ROLLBACK)
        done = document_of(use_case, outcome, None)
    else:
        from db.releases import ROLLBACK, history
        from releases.earlier import earlier
        from releases.local import TARGET

        session = open_session(settings, stack, progress)
        assert session.databases is not None
        goal = earlier(history(session.databases.modelyard, use_case=use_case, target=TARGET), version)
        done = run_release(progress, use_case, str(goal.model_version), why=ROLLBACK)
    return done | {"stages": stages(progress)}


def history(settings: Settings, stack: str, use_case: str) -> Document:
    """The releases of a use case, the newest first, its stream, and where a cluster runs something else.

    On this machine there are none while PostgreSQL does not run.
    """
    import usecases

    usecases.load(use_case)
    if is_cluster(stack):
        from console import stream_pods as console
        from releases.kubernetes.drift import drift
        from releases.kubernetes.place import place_of
        from releases.kubernetes.release import TARGET

        place = place_of(settings)
        found = place.records.history(use_case, TARGET)
        return _history(use_case, found, drift(place, use_case, found), console.state(place, use_case))
    from console.state import running
    from db import releases as record
    from db.migrate import upgrade

    databases = running(settings)
    if databases is None:
        return _history(use_case, None, [])
    upgrade(databases.modelyard)
    return _history(use_case, record.history(databases.modelyard, use_case=use_case), [])


def _history(
    use_case: str, found: Sequence[Recorded] | None, drift: list[str], stream: Document | None = None
) -> Document:
    rows = None if found is None else [release.model_dump(mode="json") for release in found]
    return {"use_case": use_case, "releases": rows, "stream": stream, "drift": drift}


@contextmanager
def endpoint(settings: Settings, stack: str, use_case: str) -> Iterator[str]:
    """Address of the use case's endpoint for this process.

    Raises:
        ReleaseError: none serves it.
    """
    if not is_cluster(stack):
        yield _local_address(settings, use_case)
        return
    from releases.kubernetes.objects import Objects
    from stacks.kubernetes import cluster
    from stacks.kubernetes.forward import forwarded

    found = cluster.connect(settings, needs=())
    objects = Objects(found.api, found.connection.inference_namespace, use_case)
    if objects.live(objects.name) is None:
        raise ReleaseError(
            f"No endpoint serves {use_case} in {objects.namespace}. "
            f"Start one: python run.py --stack {stack} release {use_case}"
        )
    with forwarded(f"http://{objects.name}.{objects.namespace}.svc:80", settings.kube_context) as address:
        yield address


def _local_address(settings: Settings, use_case: str) -> str:
    from db import releases as record
    from db.databases import prepare
    from db.migrate import upgrade
    from releases import release
    from releases.local import TARGET

    url = prepare(settings).modelyard
    upgrade(url)
    serving = record.serving(url, use_case, TARGET)
    if serving is None or serving.address is None or not release.is_running(serving):
        raise ReleaseError(f"No endpoint serves {use_case}. Start one: python run.py release {use_case}")
    return serving.address


def _canary(stack: str, share: str | None, seconds: float) -> Canary | None:
    if share is None:
        return None
    if not is_cluster(stack):
        raise UsageError("A canary takes several pods: --canary is for a cluster, with --stack kubernetes.")
    from releases.kubernetes.canary import percent
    from releases.kubernetes.release import Canary

    try:
        return Canary(percent(share), seconds)
    except ValueError:
        raise UsageError(
            f"--canary takes a share such as 10%, above 0 and below 100; it is {share!r}."
        ) from None
