"""Put a model version's image behind its endpoint in a cluster, or go back to an earlier one.

    candidate   one pod of the new image, which no Service sends requests to, gets ready and is verified
    canary      on demand: pods of it take a share of the requests, and are compared with the others
    roll out    the Deployment gets the image; no old pod goes before all new ones are ready
    check       each pod is asked which version it serves
    record      the table of releases says that it serves
    stream      workers that score events by the model that serves get this one, too

Whatever fails on the way, the image of before is back before the release ends, and the record says why.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from errors import ModelyardError, ReleaseError, UsageError
from releases.earlier import earlier, serving
from releases.kubernetes import canary as canaries
from releases.kubernetes import manifests, stream
from releases.kubernetes.lease import Lease, held
from releases.kubernetes.objects import CANARY, STABLE, Live, Objects
from releases.kubernetes.place import Place, address, reach
from releases.outcome import Outcome
from releases.verify import verify
from serving import client

if TYPE_CHECKING:
    from db.recorded import Recorded
    from serving.package import ModelPackage

TARGET = "kubernetes"
INTERRUPTED = "it was interrupted"
"""Begins the reason on record of a release that was cut off, not given up: it may be tried again."""
_LOOK_SECONDS = 5.0


@dataclass(frozen=True)
class Wanted:
    """What is to be released."""

    use_case: str
    model_version: int
    bento: str
    image: str
    """Reference by digest."""
    why: str
    zenml_run: str | None = None
    evidence: Mapping[str, Any] | None = None
    """What exactly it is, for the record."""


@dataclass(frozen=True)
class Canary:
    """A share of the requests for a while, before all of them."""

    share: float
    seconds: float


@dataclass
class _Work:
    """A release under way."""

    place: Place
    objects: Objects
    lease: Lease
    wanted: Wanted
    live: Live | None
    """What the Deployment ran before."""
    seconds: dict[str, float] = field(default_factory=dict)
    rolled: bool = False
    """Whether the Deployment may run the new image by now."""
    key: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    """What the pods beside the Deployment's let this release ask by."""

    @property
    def rendered(self) -> list[manifests.Manifest]:
        return render(self.place, self.wanted)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begin = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - begin, 2)


def render(place: Place, wanted: Wanted) -> list[manifests.Manifest]:
    """The manifests that a release applies."""
    return manifests.render(
        wanted.use_case,
        wanted.image,
        namespace=place.namespace,
        model_version=wanted.model_version,
        bento=wanted.bento,
        pull_secrets=place.pull_secrets,
        gateways=place.gateways,
        hostname=place.hostname,
    )


def release(place: Place, wanted: Wanted, package: ModelPackage, canary: Canary | None = None) -> Outcome:
    """Serve `wanted` in place of what is served now; `package` has the rows that it is verified by.

    Nothing changes when all pods run that image already. A canary that does worse is withdrawn: then the
    outcome says why, and what served before still does.

    Raises:
        ReleaseError: the release was given up; what served before still serves. Or another one is under way.
        UsageError: a canary was asked for where nothing serves.
    """
    with _begun(place, wanted.use_case, wanted.zenml_run) as (objects, lease):
        live = objects.live(objects.name)
        before = _settle(place, wanted.use_case)
        if canary is not None and (live is None or before is None):
            raise UsageError(f"Nothing serves {wanted.use_case} yet beside which a canary could be put.")
        if before and before.image == wanted.image and live and live.complete and live.image == wanted.image:
            objects.delete(manifests.canary_name(wanted.use_case))  # one that was left
            outcome = _outcome(place, wanted, before.id, changed=False, before=before.model_version)
            return outcome.model_copy(update=_stream(_Work(place, objects, lease, wanted, live)))
        number = _record(place, wanted)
        work = _Work(place, objects, lease, wanted, live)
        with _or_back(work, number):
            with work.stage("candidate ready"):
                pod = _candidate(work)
            with work.stage("verified"), reach(place, pod) as url:
                verified = verify(url, package, work.key)
            if canary is not None:
                with work.stage("canary"):
                    reason = _watch(work, number, canary)
                if reason is not None:
                    _take_away(work)
                    place.records.withdraw(number, reason)
                    outcome = _outcome(place, wanted, number, changed=False, seconds=work.seconds)
                    return outcome.model_copy(update={"withdrawn": reason, "verified": verified})
            _roll_out(work)
            place.records.serve(number, address(place, wanted.use_case))
        _take_away(work)
        moved = _stream(work)
        return _outcome(
            place,
            wanted,
            number,
            changed=True,
            verified=verified,
            before=before.model_version if before else None,
            seconds=work.seconds,
        ).model_copy(update=moved)


def rollback(place: Place, use_case: str, version: int | None = None) -> Outcome:
    """Serve again what served before, or the newest release of `version` that ever served.

    It waits for nobody: a release that is under way is stopped, a canary goes.

    Raises:
        UsageError: there is nothing to go back to.
        ReleaseError: the earlier image does not get ready any more; what served still serves.
    """
    with _begun(place, use_case, None, take_over=True) as (objects, lease):
        live = objects.live(objects.name)
        now = _settle(place, use_case)
        goal = earlier(place.records.history(use_case, TARGET), version)
        assert goal.image is not None
        left = f" from release {now.id}, version {now.model_version}" if now else ""
        wanted = Wanted(
            use_case,
            goal.model_version,
            goal.bento,
            goal.image,
            f"rollback{left}",
            evidence=goal.evidence,
        )
        number = _record(place, wanted)
        work = _Work(place, objects, lease, wanted, live)
        _take_away(work)
        with _or_back(work, number):
            _roll_out(work)
            place.records.serve(number, address(place, use_case))
        moved = _stream(work)
        return _outcome(
            place,
            wanted,
            number,
            changed=True,
            before=now.model_version if now else None,
            seconds=work.seconds,
        ).model_copy(update=moved)


@contextmanager
def _begun(
    place: Place, use_case: str, run: str | None, *, take_over: bool = False
) -> Iterator[tuple[Objects, Lease]]:
    # A run that goes on in another pod finds the Lease of the pod before, and it is its own.
    holder = f"{place.by} ({run or secrets.token_hex(2)})"
    with held(place.api, place.namespace, manifests.name_of(use_case), holder, take_over=take_over) as lease:
        yield Objects(place.api, place.namespace, use_case), lease


def _settle(place: Place, use_case: str) -> Recorded | None:
    """Close the records of releases that were interrupted; returns that of what serves."""
    known = place.records.history(use_case, TARGET)
    for left in known:
        if left.status in ("rolling_out", "canary"):
            place.records.fail(left.id, INTERRUPTED)
    return serving(known)


def _record(place: Place, wanted: Wanted) -> int:
    return place.records.begin(
        use_case=wanted.use_case,
        model_version=wanted.model_version,
        bento=wanted.bento,
        target=TARGET,
        released_by=place.by,
        zenml_run=wanted.zenml_run,
        image=wanted.image,
        why=wanted.why,
        evidence=wanted.evidence,
    )


@contextmanager
def _or_back(work: _Work, number: int) -> Iterator[None]:
    """When the block raises, put back what served before and record why."""
    try:
        yield
    except BaseException as error:
        try:
            work.lease.require()
            _put_back(work)
        except ReleaseError as also:
            error.add_note(str(also))
        try:
            # Another error than ours says nothing of the model: a pod that is moved, somebody's Ctrl-C.
            ours = isinstance(error, ModelyardError)
            work.place.records.fail(number, str(error) if ours else f"{INTERRUPTED}: {error!r}")
        except ReleaseError as also:
            error.add_note(f"And the record does not have it: {also}")
        raise


def _put_back(work: _Work) -> None:
    name, live = work.objects.name, work.live
    _take_away(work)
    if not work.rolled:
        return
    if live is None:
        work.objects.delete(name)
        return
    before = Wanted(work.wanted.use_case, live.model_version, live.bento, live.image, "")
    work.objects.apply(render(work.place, before))
    work.objects.wait(name, STABLE, live.image, work.place.ready_seconds, work.lease.require)


def _take_away(work: _Work) -> None:
    """No canary from now on; one that there was gets no request before it goes."""
    if work.live is not None:
        work.objects.apply(manifests.weighted(work.rendered, 0))
    work.objects.delete(manifests.canary_name(work.wanted.use_case))


def _candidate(work: _Work) -> Any:
    """A ready pod of the new image that gets no requests but ours."""
    rendered = work.rendered
    work.lease.require()
    work.objects.apply(manifests.of_kind(rendered, "ServiceAccount", "NetworkPolicy"))
    return _beside(work, replicas=1, traffic=False)[0]


def _beside(work: _Work, *, replicas: int, traffic: bool) -> list[Any]:
    deployment = manifests.canary(
        work.rendered,
        replicas=replicas,
        traffic=traffic,
        verifier=sha256(work.key.encode()).hexdigest(),
    )
    work.lease.require()
    work.objects.apply([deployment])
    return work.objects.wait(
        deployment["metadata"]["name"],
        CANARY,
        work.wanted.image,
        work.place.ready_seconds,
        work.lease.require,
    )


def _watch(work: _Work, number: int, canary: Canary) -> str | None:
    """Let the canary take its share for its time; returns why it is to be withdrawn, or None."""
    assert work.live is not None
    count = canaries.replicas(work.live.replicas, canary.share)
    if work.place.gateways:
        _beside(work, replicas=count, traffic=False)
        services = manifests.of_kind(work.rendered, "Service")
        work.objects.apply([*services, *manifests.weighted(work.rendered, canary.share)])
        takes = f"{canary.share:.0%} of the requests through the Gateway"
    else:
        _beside(work, replicas=count, traffic=True)
        takes = canaries.share_in_words(work.live.replicas, count, canary.share)
    work.place.records.canary(number, address(work.place, work.wanted.use_case), takes)
    stable, beside = canaries.Growth(), canaries.Growth()
    end = time.monotonic() + canary.seconds
    while True:
        stable.see(_counted(work, STABLE))
        beside.see(_counted(work, CANARY))
        if reason := canaries.failing(stable.total(), beside.total()):
            return reason
        if time.monotonic() >= end:
            return canaries.verdict(stable.total(), beside.total())
        time.sleep(min(_LOOK_SECONDS, max(0.0, end - time.monotonic())))
        work.lease.require()


def _counted(work: _Work, component: str) -> dict[str, canaries.Counts]:
    """Name → counts of each pod that answers; one that is just being made or deleted does not."""
    found = {}
    for pod in work.objects.pods(component):
        if pod.status.pod_ip is None:
            continue
        with reach(work.place, pod) as url, client.connect(url) as endpoint:
            metrics = endpoint.metrics()
        if metrics is not None:
            found[pod.metadata.name] = canaries.counts(metrics)
    return found


def _roll_out(work: _Work) -> None:
    """The Deployment gets the image, and each of its pods is asked for its version.

    Raises:
        ReleaseError: the pods do not get ready, or serve something else.
    """
    name, rendered = work.objects.name, work.rendered
    with work.stage("rolled out"):
        work.lease.require()
        work.rolled = True
        work.objects.apply(rendered)
        if work.live is None:
            (scaler,) = manifests.of_kind(rendered, "HorizontalPodAutoscaler")
            work.objects.scale(name, scaler["spec"]["minReplicas"])
        pods = work.objects.wait(
            name, STABLE, work.wanted.image, work.place.ready_seconds, work.lease.require
        )
    with work.stage("every pod checked"):
        for pod in pods:
            with reach(work.place, pod) as url, client.connect(url) as endpoint:
                answered = endpoint.model()["model_version"]
            if answered != work.wanted.model_version:
                raise ReleaseError(
                    f"The pod {pod.metadata.name} should serve version {work.wanted.model_version} of {name} "
                    f"and serves {answered}: its image {work.wanted.image} holds another Bento."
                )


def _stream(work: _Work) -> dict[str, str]:
    """Let the stream follow, if there is one; what came of it, for the outcome. The release stands anyway."""
    name = manifests.stream_name(work.wanted.use_case)
    try:
        if stream.look(work.place, work.wanted.use_case) is None:
            return {}
        with work.stage("stream moved"):
            stream.move(work.place, work.wanted, work.lease.require)
    except ReleaseError as error:
        return {"stream": name, "stream_trouble": str(error)}
    return {"stream": name}


def _outcome(
    place: Place,
    wanted: Wanted,
    number: int,
    *,
    changed: bool,
    verified: int = 0,
    before: int | None = None,
    seconds: dict[str, float] | None = None,
) -> Outcome:
    return Outcome(
        release=number,
        model_version=wanted.model_version,
        bento=wanted.bento,
        address=address(place, wanted.use_case),
        changed=changed,
        verified=verified,
        before=before,
        image=wanted.image,
        seconds=seconds or {},
    )
