"""An endpoint under load: released, broken, tried out, taken back, hit; no request fails.

The load comes from a pod outside the platform, at half of what the endpoint can do; half of its connections
are kept open, no request is ever made twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from errors import ReleaseError, UsageError
from releases.kubernetes.canary import MIN_REQUESTS
from releases.kubernetes.lease import held
from releases.kubernetes.place import Place
from releases.kubernetes.release import TARGET, Canary, release, rollback
from tests.integration.releases.titanic import USE_CASE
from tests.kubernetes import endpoints
from tests.kubernetes.cluster import Platform, command, wait_for
from tests.kubernetes.endpoints import Counts, Version, asked, pods

Say = Callable[[str], None]


@pytest.fixture(scope="module", autouse=True)
def _callers(platform: Platform) -> Iterator[None]:
    with endpoints.callers(platform):
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bentos")


@pytest.fixture(scope="module")
def one(platform: Platform, folder: Path) -> Version:
    return endpoints.version(platform, folder, 1, 1.0)


@pytest.fixture(scope="module")
def two(platform: Platform, folder: Path) -> Version:
    return endpoints.version(platform, folder, 2, 0.1)


@pytest.fixture(scope="module")
def most(platform: Platform, place: Place, one: Version) -> Counts:
    """What two pods of the endpoint can do, with version 1 released."""
    release(place, one.wanted, one.content)
    with asked(platform, rate=0) as most:
        wait_for(lambda: counted(platform).seconds > 5, "five seconds of requests")
    assert most.failures == []
    return most


@pytest.fixture(scope="module")
def rate(most: Counts) -> float:
    """Requests a second of the load."""
    return most.rate / 2


def counted(platform: Platform) -> Counts:
    namespace = endpoints.outside(platform)
    return Counts(**json.loads(platform.kubectl("--namespace", namespace, "logs", "load", "--tail=1")))


@pytest.fixture
def serving_one(place: Place, one: Version, rate: float) -> None:
    """Version 1 serves."""
    release(place, one.wanted, one.content)


@contextmanager
def unharmed(platform: Platform, rate: float, say: Say, what: str) -> Iterator[Counts]:
    """Under load; no request of it may fail."""
    with asked(platform, rate=rate) as counts:
        yield counts
    say(f"{what}: {counts}")
    assert counts.failures == []


def status(place: Place, number: int) -> tuple[str, str | None]:
    (found,) = [each for each in place.records.history(USE_CASE, TARGET) if each.id == number]
    return found.status, found.reason


@pytest.mark.usefixtures("serving_one")
def test_another_version_takes_over_without_a_failed_request(
    platform: Platform, place: Place, two: Version, most: Counts, rate: float, say: Say
) -> None:
    say(f"as fast as it goes: {most}")
    with unharmed(platform, rate, say, "a release") as counts:
        outcome = release(place, two.wanted, two.content)
    say(f"a release by stages: {outcome.seconds}")
    assert set(counts.versions or {}) == {"1", "2"}
    assert outcome.verified > 100
    assert sum(outcome.seconds.values()) < 30
    (deployment,) = platform.get("deployment", USE_CASE, namespace=platform.inference)
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == two.image
    assert {pod["spec"]["containers"][0]["image"] for pod in pods(platform)} == {two.image}
    assert status(place, outcome.release) == ("serving", None)
    assert pods(platform, "canary") == []


@pytest.mark.usefixtures("serving_one")
def test_the_same_version_again_changes_nothing(place: Place, one: Version) -> None:
    assert not release(place, one.wanted, one.content).changed


@pytest.mark.usefixtures("serving_one")
def test_going_back_takes_15_seconds_at_most_and_fails_no_request(
    platform: Platform, place: Place, one: Version, two: Version, rate: float, say: Say
) -> None:
    release(place, two.wanted, two.content)
    with unharmed(platform, rate, say, "a rollback") as counts:
        begin = time.monotonic()
        outcome = rollback(place, USE_CASE)
        took = time.monotonic() - begin
    say(f"a rollback took {took:.1f} s: {outcome.seconds}")
    assert took < 15
    assert outcome.model_version == 1
    assert set(counts.versions or {}) == {"1", "2"}
    newest = place.records.history(USE_CASE, TARGET)[0]
    assert (newest.id, newest.status, newest.image) == (outcome.release, "serving", one.image)
    assert newest.why is not None
    assert newest.why.startswith("rollback from release")


@pytest.mark.usefixtures("serving_one")
def test_there_is_no_way_back_to_what_never_served(place: Place) -> None:
    with pytest.raises(
        UsageError, match="no release of version 77 to go back to; versions that served before: 2"
    ):
        rollback(place, USE_CASE, 77)


SLOW = """
import asyncio as _asyncio
import serving.http.messages as _messages
_send = _messages.send
async def _slowly(*arguments):
    await _asyncio.sleep({seconds})
    await _send(*arguments)
_messages.send = _slowly
"""


BROKEN: dict[str, tuple[dict[str, str], str]] = {
    "gives wrong answers": ({}, "does not answer what the model predicts offline"),
    "crashes at its start": ({"service.py": "raise SystemExit('no licence')"}, "ended with exit code"),
    "never gets ready": ({"service.py": "import time; time.sleep(3600)"}, "was not ready after 15 s"),
    "is too slow": (
        {"serving/http/front.py": SLOW.format(seconds=0.7)},
        "too slow",
    ),
}


@pytest.mark.usefixtures("serving_one")
@pytest.mark.parametrize("what", BROKEN)
def test_a_model_that_is_broken_never_takes_a_request(
    what: str, platform: Platform, place: Place, one: Version, rate: float, folder: Path, say: Say
) -> None:
    changes, why = BROKEN[what]
    number = 11 + list(BROKEN).index(what)
    broken = endpoints.version(platform, folder, number, 1.0, changes)
    if not changes:
        other = endpoints.version(platform, folder / "other", number, 0.01)
        broken = replace(broken, content=other.content)
    patient = replace(place, ready_seconds=15)
    with (
        unharmed(platform, rate, say, f"a model that {what}") as counts,
        pytest.raises(ReleaseError, match=why) as error,
    ):
        release(patient, broken.wanted, broken.content)
    assert set(counts.versions or {}) == {"1"}
    assert pods(platform, "canary") == []
    assert {pod["spec"]["containers"][0]["image"] for pod in pods(platform)} == {one.image}
    newest = place.records.history(USE_CASE, TARGET)[0]
    assert (newest.model_version, newest.status) == (number, "failed")
    assert newest.reason == str(error.value)


@pytest.mark.usefixtures("serving_one")
def test_a_cluster_that_lets_no_pod_in_is_quoted(platform: Platform, place: Place, two: Version) -> None:
    kubectl = ("kubectl", "--namespace", platform.inference)
    command(*kubectl, "create", "quota", "full", "--hard=pods=0")
    try:
        with pytest.raises(ReleaseError, match=r"gets no pod: .*exceeded quota: full"):
            release(replace(place, ready_seconds=10), two.wanted, two.content)
    finally:
        command(*kubectl, "delete", "quota", "full")


@pytest.mark.usefixtures("serving_one")
def test_a_canary_that_does_as_well_takes_the_place_of_the_others(
    platform: Platform, place: Place, two: Version, rate: float, say: Say
) -> None:
    with unharmed(platform, rate, say, "a canary promoted") as counts:
        outcome = release(place, two.wanted, two.content, Canary(0.1, 10))
    assert outcome.withdrawn is None
    assert set(counts.versions or {}) == {"1", "2"}
    assert status(place, outcome.release) == ("serving", None)
    assert pods(platform, "canary") == []


@pytest.mark.usefixtures("serving_one")
def test_a_canary_that_is_slower_is_withdrawn_without_a_failed_request(
    platform: Platform, place: Place, rate: float, folder: Path, say: Say
) -> None:
    slower = endpoints.version(
        platform, folder, 21, 1.0, {"serving/http/front.py": SLOW.format(seconds=0.05)}
    )
    with unharmed(platform, rate, say, "a canary withdrawn") as counts:
        outcome = release(place, slower.wanted, slower.content, Canary(0.1, 10))
    assert outcome.withdrawn is not None
    assert "ms to answer, the others" in outcome.withdrawn
    assert set(counts.versions or {}) == {"1", "21"}
    assert status(place, outcome.release) == ("withdrawn", outcome.withdrawn)
    assert pods(platform, "canary") == []


@pytest.mark.usefixtures("serving_one")
def test_a_canary_that_nobody_asks_is_withdrawn(place: Place, two: Version) -> None:
    outcome = release(place, two.wanted, two.content, Canary(0.5, 1))
    assert outcome.withdrawn is not None
    assert f"and {MIN_REQUESTS} are needed to compare" in outcome.withdrawn


@pytest.mark.usefixtures("serving_one")
def test_through_a_gateway_a_canary_takes_just_the_share_that_was_asked_for(
    platform: Platform, place: Place, two: Version
) -> None:
    """The weights of the route; whether a Gateway keeps to them is not ours to test."""
    crd = "httproutes.gateway.networking.k8s.io"
    if "NotFound" in command("kubectl", "get", "crd", crd, check=False):
        pytest.skip("the cluster has no Gateway API, so a canary's share by weights was NOT tested")
    routed = replace(place, gateways=({"name": "public"},))

    def weights() -> list[int]:
        return [
            backend["weight"]
            for route in platform.get(crd, namespace=platform.inference)
            for backend in route["spec"]["rules"][0]["backendRefs"]
        ]

    with ThreadPoolExecutor() as pool:
        releasing = pool.submit(release, routed, two.wanted, two.content, Canary(0.1, 5))
        wait_for(lambda: pods(platform, "canary"), "a canary")
        wait_for(lambda: weights() == [90, 10], "a tenth of the requests")
        assert releasing.result().withdrawn is not None
    assert weights() == [100, 0]
    assert pods(platform, "canary") == []


@pytest.mark.usefixtures("serving_one")
def test_a_pod_that_is_deleted_fails_no_request(platform: Platform, rate: float, say: Say) -> None:
    with unharmed(platform, rate, say, "a pod deleted"):
        gone = pods(platform)[0]["metadata"]["name"]
        command("kubectl", "--namespace", platform.inference, "delete", "pod", gone)
        wait_for(lambda: len(ready(platform)) == 2 and gone not in ready(platform), "two pods")


@pytest.mark.usefixtures("serving_one")
def test_a_drain_takes_one_pod_at_a_time_and_fails_no_request(
    platform: Platform, rate: float, say: Say
) -> None:
    """Evicted one by one, as `kubectl drain` does; drained, a cluster of one node would have no other."""
    before = ready(platform)
    with unharmed(platform, rate, say, "both pods evicted"):
        for name in before:
            wait_for(lambda name=name: evicted(platform, name), f"{name} evicted")
        wait_for(lambda: len(ready(platform)) == 2 and not before & ready(platform), "two other pods")


def ready(platform: Platform) -> set[str]:
    return {
        pod["metadata"]["name"]
        for pod in pods(platform)
        if any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"]["conditions"])
    }


def evicted(platform: Platform, name: str) -> bool:
    """Whether the cluster lets the pod go now: not while another one is missing."""
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    path = f"/api/v1/namespaces/{platform.inference}/pods/{name}/eviction"
    said = command(
        "kubectl", "create", f"--raw={path}", "--filename=-", stdin=json.dumps(eviction), check=False
    )
    assert "Success" in said or "disruption budget" in said, said
    return "Success" in said


@pytest.mark.usefixtures("serving_one")
def test_an_upgrade_of_the_platform_fails_no_request(platform: Platform, rate: float, say: Say) -> None:
    with unharmed(platform, rate, say, "helm upgrade"):
        platform.helm("upgrade", "--set=zenml.replicas=1")


@pytest.mark.usefixtures("serving_one")
def test_who_is_done_leaves_the_place_to_others_at_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A sign of life is then under way whenever somebody is done.
    monkeypatch.setattr("releases.kubernetes.lease._RENEW_SECONDS", 0.001)
    for turn in range(20):
        with held(place.api, place.namespace, "turns", f"holder {turn}") as lease:
            lease.require()


def test_two_releases_at_once_do_not_mix(place: Place, two: Version) -> None:
    with (
        held(place.api, place.namespace, USE_CASE, "somebody"),
        pytest.raises(ReleaseError, match="Another release is under way, by somebody since"),
    ):
        release(place, two.wanted, two.content)


@pytest.mark.usefixtures("serving_one")
def test_a_rollback_waits_for_nobody_and_the_other_release_gives_up(
    place: Place, one: Version, two: Version
) -> None:
    release(place, two.wanted, two.content)
    with held(place.api, place.namespace, USE_CASE, "somebody") as lease:
        assert rollback(place, USE_CASE).model_version == 1
        with pytest.raises(ReleaseError, match="stopped on the way"):
            lease.require()


@pytest.mark.usefixtures("serving_one")
def test_a_release_that_was_killed_is_closed_by_the_next(place: Place, two: Version) -> None:
    left = place.records.begin(
        use_case=USE_CASE, model_version=2, bento=two.bento, target=TARGET, released_by="somebody"
    )
    release(place, two.wanted, two.content)
    assert status(place, left) == ("failed", "it was interrupted")


def test_k8s_is_an_endpoint_by_itself_and_logs_nothing(
    platform: Platform, one: Version, tmp_path: Path
) -> None:
    """`kubectl apply -k`, with nothing of the project in the cluster but the image."""
    with endpoints.by_hand(platform, one, tmp_path) as endpoint:
        assert endpoint.post("/predict", content=endpoints.EXAMPLE).json()["model_version"] == 1
        told = endpoint.post("/outcomes", json={"outcomes": [{"request_id": "mine", "value": 1.0}]})
        assert told.status_code == 503
        assert "keeps no prediction log" in told.json()["detail"]
        assert "prediction_log" not in endpoint.get("/metrics").text


def test_a_limit_of_two_cores_makes_two_workers_that_count_as_one(
    platform: Platform, one: Version, tmp_path: Path, say: Say
) -> None:
    limit = {"op": "add", "path": "/spec/template/spec/containers/0/resources/limits/cpu", "value": "2"}
    with endpoints.by_hand(platform, one, tmp_path, limit) as endpoint:
        asked = 0

        def both() -> bool:
            nonlocal asked
            # By a connection of its own, since a worker keeps those that it has.
            answer = endpoint.post("/predict", content=endpoints.EXAMPLE, headers={"Connection": "close"})
            assert answer.status_code == 200
            asked += 1
            workers.add(answer.headers["X-Request-ID"][:16])  # its first half is a process' own
            return len(workers) == 2

        workers: set[str] = set()
        wait_for(both, "answers by two workers", pause=0)

        def counted() -> bool:
            metrics = endpoint.get("/metrics").text
            found.update(
                (sample.labels.get("worker", sample.name), sample.value)
                for family in text_string_to_metric_families(metrics)
                for sample in family.samples
                if sample.name.endswith(("resident_memory_bytes", "predictions_total"))
            )
            return found["modelyard_predictions_total"] == asked

        found: dict[str, float] = {}
        wait_for(counted, lambda: f"{asked} predictions in {found}")
        memory = {name: value / 1e6 for name, value in found.items() if not name.startswith("modelyard")}
        say(f"MB of each worker: {memory}")
        assert len(memory) == 2
        assert max(memory.values()) < 250
