"""The record of releases as laptops and pods have it: through MLflow's server."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from db import checks
from db import releases as record
from db.recorded import Recorded
from errors import ReleaseError
from releases.audit import check
from releases.records import Records
from tests.integration.postgresql import servers
from tests.integration.releases.mlflow_server import LOGIN, running, status
from tests.unit.monitoring.test_check_metrics import FOUND

IMAGE = f"registry.example.com/taxi:1@sha256:{'a' * 64}"
ADDRESS = "http://taxi.inference.svc:3000"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    with servers.running(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="module")
def mlflow(postgresql: servers.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of MLflow's server, started where no table is yet."""
    with running(postgresql.url(), tmp_path_factory.mktemp("home")) as url:
        yield url


@pytest.fixture
def records(mlflow: str) -> Records:
    return Records(mlflow, *LOGIN)


@pytest.fixture
def use_case(request: pytest.FixtureRequest) -> str:
    """A name that only this test uses."""
    return str(request.node.name)


def begin(records: Records, use_case: str, version: int = 1, **more: Any) -> int:
    asked = {"bento": f"{use_case}:{version}", "target": "cluster", "released_by": "someone@somewhere"} | more
    return records.begin(use_case=use_case, model_version=version, **asked)


def statuses(records: Records, use_case: str) -> list[str]:
    return [release.status for release in records.history(use_case)]


def test_a_release_is_on_record_from_its_beginning_to_its_end(records: Records, use_case: str) -> None:
    number = begin(records, use_case, zenml_run="release_taxi-1", image=IMAGE, why="champion")
    (begun,) = records.history(use_case, "cluster")
    assert begun == Recorded(
        id=number,
        use_case=use_case,
        model_version=1,
        bento=f"{use_case}:1",
        image=IMAGE,
        target="cluster",
        status="rolling_out",
        why="champion",
        reason=None,
        address=None,
        pid=None,
        pid_started=None,
        released_by="someone@somewhere",
        zenml_run="release_taxi-1",
        created_at=begun.created_at,
        verified_at=None,
        ended_at=None,
    )
    assert begun.created_at.tzinfo is not None

    records.serve(number, ADDRESS)
    (serving,) = records.history(use_case)
    assert (serving.status, serving.address, serving.ended_at) == ("serving", ADDRESS, None)
    assert serving.verified_at is not None

    records.stop(number, "no longer wanted")
    (stopped,) = records.history(use_case)
    assert (stopped.status, stopped.reason) == ("stopped", "no longer wanted")
    assert stopped.ended_at is not None


def test_what_was_released_and_who_approved_it_is_in_the_audit_trail(records: Records, use_case: str) -> None:
    evidence = {"model": "a" * 64, "data": {"東京.parquet": "b" * 64}, "judgement": None}
    for note in (None, "read its card"):
        records.approve(
            use_case=use_case, model_version=3, model="a" * 64, approved_by="someone@somewhere", note=note
        )
    newest, first = records.approvals(use_case, 3)
    assert (newest.note, first.note, newest.approved_by) == ("read its card", None, "someone@somewhere")
    assert records.approvals(use_case, 4) == []

    number = begin(records, use_case, 3, evidence=evidence)
    records.serve(number, ADDRESS)
    assert records.history(use_case)[0].evidence == evidence
    found = check(records.trail(), use_case, records.trail().entries[-1].hash)
    assert found.problems == []
    assert [(one.release, one.problems) for one in found.releases] == [(number, [])]
    assert found.releases[0].row["evidence"] == evidence


def test_the_next_release_supersedes_the_one_that_serves_which_is_over_then(
    records: Records, use_case: str
) -> None:
    first, elsewhere = begin(records, use_case), begin(records, use_case, target="another cluster")
    for number in (first, elsewhere):
        records.serve(number, ADDRESS)
    second = begin(records, use_case, 2)
    records.serve(second, ADDRESS)

    serving, before = records.history(use_case, "cluster")
    assert (serving.id, serving.status) == (second, "serving")
    assert (before.id, before.status, before.reason) == (first, "superseded", f"release {second}")
    assert before.ended_at is not None
    assert [one.status for one in records.history(use_case, "another cluster")] == ["serving"]


def test_a_release_whose_process_runs_on_this_machine_is_over_only_when_that_has_ended(
    records: Records, use_case: str, postgresql: servers.Server
) -> None:
    database = postgresql.url("modelyard")
    first, second = (begin(records, use_case, version, target="local") for version in (1, 2))
    record.note_process(database, first, 7, 1.5)
    records.serve(first, ADDRESS)
    records.serve(second, ADDRESS)
    assert records.history(use_case)[1].ended_at is None
    assert [release.id for release in record.unfinished(database, use_case, "local")] == [first]


def test_a_canary_stands_beside_the_one_that_serves_and_takes_its_place(
    records: Records, use_case: str
) -> None:
    first, second = begin(records, use_case), begin(records, use_case, 2)
    records.serve(first, ADDRESS)
    records.canary(second, "http://canary", "10 % of the requests")
    canary, serving = records.history(use_case)
    assert (canary.status, canary.reason) == ("canary", "10 % of the requests")
    assert serving.status == "serving"

    records.canary(second, "http://canary", "50 % of the requests")
    assert records.history(use_case)[0].reason == "50 % of the requests"

    records.serve(second, ADDRESS)
    served, superseded = records.history(use_case)
    assert (served.status, served.reason, served.address) == ("serving", None, ADDRESS)
    assert served.verified_at == canary.verified_at
    assert superseded.status == "superseded"


def test_a_canary_that_was_taken_back_makes_room_for_another(records: Records, use_case: str) -> None:
    first, second = begin(records, use_case), begin(records, use_case, 2)
    records.canary(first, ADDRESS)
    with pytest.raises(ReleaseError, match=rf"Release {second} .* cannot become canary: another .*\(409\)"):
        records.canary(second, ADDRESS)
    assert statuses(records, use_case) == ["rolling_out", "canary"]

    records.withdraw(first, "slower than before")
    records.canary(second, ADDRESS)
    canary, withdrawn = records.history(use_case)
    assert (canary.status, withdrawn.status, withdrawn.reason) == (
        "canary",
        "withdrawn",
        "slower than before",
    )
    assert withdrawn.ended_at is not None


def test_of_many_that_would_serve_at_once_one_serves(records: Records, use_case: str) -> None:
    numbers = [begin(records, use_case, version) for version in range(1, 9)]

    def serve(number: int) -> str:
        try:
            records.serve(number, ADDRESS)
        except ReleaseError as error:
            return str(error)
        return "done"

    with ThreadPoolExecutor(len(numbers)) as pool:
        answers = dict(zip(numbers, pool.map(serve, numbers), strict=True))
    assert all(answer == "done" or "(409)" in answer for answer in answers.values()), answers
    found = records.history(use_case)
    assert [release.status for release in found].count("serving") == 1
    served = {release.id for release in found if release.status in ("serving", "superseded")}
    assert served == {number for number, answer in answers.items() if answer == "done"}


@pytest.mark.parametrize(
    ("before", "change"),
    [
        ("fail", "serve"),
        ("fail", "fail"),
        ("fail", "canary"),
        ("serve", "canary"),
        ("serve", "withdraw"),
        ("stop", "serve"),
        ("withdraw", "serve"),
        ("begin", "withdraw"),
        ("begin", "stop"),
    ],
)
def test_a_change_that_makes_no_sense_changes_nothing(
    records: Records, use_case: str, before: str, change: str
) -> None:
    number = begin(records, use_case)
    for step in {"stop": ["serve", "stop"], "withdraw": ["canary", "withdraw"], "begin": []}.get(
        before, [before]
    ):
        getattr(records, step)(number, "why or where")
    there = records.history(use_case)
    with pytest.raises(ReleaseError, match=rf"Release {number} of .* is [a-z ]+; only one that is .*\(409\)"):
        getattr(records, change)(number, "something else")
    assert records.history(use_case) == there


def test_one_that_was_given_up_after_it_served_is_on_record_as_failed(
    records: Records, use_case: str
) -> None:
    number = begin(records, use_case)
    records.serve(number, ADDRESS)
    records.fail(number, "a line\nand naïve 東京")
    (failed,) = records.history(use_case)
    assert (failed.status, failed.reason) == ("failed", "a line\nand naïve 東京")


def test_a_release_that_is_not_there_is_said_to_be_missing(records: Records) -> None:
    for number in (999_999, 10**30):
        with pytest.raises(ReleaseError, match=rf"There is no release {number} on record\. \(404\)"):
            records.serve(number, ADDRESS)


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("", {"use_case": "taxi"}, "model_version: Field required"),
        ("", {"model_version": "1"}, "model_version: Input should be a valid integer"),
        ("", {"model_version": 0}, "model_version: Input should be greater than or equal to 1"),
        ("", {"model_version": 2**40}, "model_version: Input should be less than"),
        ("", {"use_case": ""}, "use_case: String should have at least 1 character"),
        ("", {"why": "a\x00b"}, "why: String should match pattern"),
        ("", {"image": "taxi:latest"}, "image: String should match pattern"),
        ("", {"status": "serving"}, "status: Extra inputs are not permitted"),
        ("", [], "the body: Input should be an object"),
        ("", {"evidence": {"model": "a\x00b"}}, "evidence: Value error, PostgreSQL's texts hold any sign"),
        ("/approvals", {"model": "a"}, "model: String should match pattern"),
        ("/approvals?use_case=taxi", None, "model_version: Field required"),
        ("/1/serve", {}, "address: Field required"),
        ("/1/fail", {"reason": None}, "reason: Input should be a valid string"),
        ("?limit=0", None, "limit: Input should be greater than or equal to 1"),
        ("?usecase=taxi", None, "usecase: Extra inputs are not permitted"),
        ("?use_case=a%00b", None, "use_case: String should match pattern"),
    ],
)
def test_what_is_wrong_with_a_request_is_said_by_the_name_of_its_field(
    mlflow: str, path: str, body: Any, said: str
) -> None:
    url = f"{mlflow}/modelyard/releases{path}"
    answer = (
        httpx.get(url, auth=LOGIN, trust_env=False)
        if body is None
        else httpx.post(url, json=body, auth=LOGIN, trust_env=False)
    )
    assert answer.status_code == 422
    assert said in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "content", "kind", "status"),
    [
        ("POST", "", b"{", "application/json", 422),
        ("POST", "", b"{}", "text/plain", 415),
        ("POST", "", b" " * 300_000, "application/json", 413),
        ("DELETE", "", b"", "application/json", 405),
        ("GET", "/1/serve", b"", "application/json", 405),
        ("POST", "/1/delete", b"{}", "application/json", 404),
        ("POST", "/one/serve", b"{}", "application/json", 404),
    ],
)
def test_whatever_else_is_asked_is_refused_in_words(
    mlflow: str, method: str, path: str, content: bytes, kind: str, status: int
) -> None:
    url = f"{mlflow}/modelyard/releases{path}"
    headers = {"Content-Type": kind}
    answer = httpx.request(method, url, content=content, headers=headers, auth=LOGIN, trust_env=False)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Basic",
        "Basic !",
        "Basic ZGVmYXVsdA==",  # default, and no password
        "Bearer a password of the tests",
        f"Basic {base64.b64encode(b'default:another').decode()}",
        f"Basic {base64.b64encode(f'another:{LOGIN[1]}'.encode()).decode()}",
    ],
)
def test_nobody_without_the_login_reads_or_writes(mlflow: str, header: str | None) -> None:
    url = f"{mlflow}/modelyard/releases"
    headers = {"Authorization": header} if header else {}
    for method, path in (("GET", ""), ("POST", ""), ("POST", "/1/serve"), ("GET", "/nothing")):
        answer = httpx.request(method, f"{url}{path}", headers=headers, trust_env=False)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="modelyard"'
        assert list(answer.json()) == ["error"]


def test_mlflows_own_pages_answer_as_before(mlflow: str) -> None:
    experiments = f"{mlflow}/api/2.0/mlflow/experiments/search?max_results=5"
    assert httpx.get(experiments, auth=LOGIN, trust_env=False).status_code == 200
    assert httpx.get(experiments, trust_env=False).status_code == 401
    assert "<title>MLflow</title>" in httpx.get(mlflow, auth=LOGIN, trust_env=False).text
    assert status(f"{mlflow}/health") == 200
    assert status(f"{mlflow}/modelyard/releases-of-another") in (401, 404)


def test_who_may_log_in_and_where_is_read_from_the_environment(
    mlflow: str, records: Records, use_case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in zip(("URI", "USERNAME", "PASSWORD"), (f"{mlflow}/", *LOGIN), strict=True):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    begin(Records.of_environment(), use_case)
    assert statuses(records, use_case) == ["rolling_out"]
    assert LOGIN[1] not in repr(Records.of_environment())

    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
    with pytest.raises(ReleaseError, match="set MLFLOW_TRACKING_PASSWORD"):
        Records.of_environment()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://someone:secret@somewhere/mlflow")
    with pytest.raises(ReleaseError, match=r"must be its address.*; it is postgresql:…\.$"):
        Records.of_environment()


def test_a_client_says_which_address_it_asked_and_what_came(mlflow: str) -> None:
    with pytest.raises(ReleaseError, match=rf"{mlflow}/modelyard/releases refused: the login is wrong"):
        Records(mlflow, "default", "another").history()
    silent = f"http://127.0.0.1:{servers.free_port()}"
    with pytest.raises(ReleaseError, match=rf"{silent}/modelyard/releases does not answer: .*refused"):
        Records(silent, *LOGIN).history()
    with pytest.raises(ReleaseError, match=r"404 .*the platform is older than this code"):
        Records(f"{mlflow}/nowhere", *LOGIN).history()
    with pytest.raises(ReleaseError, match=r"is no record of releases; is it the address of"):
        Records(f"{mlflow}/health?", *LOGIN).history()


def test_while_postgresql_is_away_it_says_so_and_then_goes_on(
    records: Records, use_case: str, postgresql: servers.Server
) -> None:
    number = begin(records, use_case)
    postgresql.stop("immediate")
    with pytest.raises(ReleaseError, match=r"PostgreSQL.* does not answer\. Try again in a moment\. \(503\)"):
        records.serve(number, ADDRESS)
    postgresql.start()
    records.serve(number, ADDRESS)
    assert statuses(records, use_case) == ["serving"]


def test_a_list_is_as_long_as_was_asked_for(records: Records, use_case: str, mlflow: str) -> None:
    numbers = [begin(records, use_case, version) for version in (1, 2, 3)]
    asked = {"use_case": use_case, "limit": 2}
    answer = httpx.get(f"{mlflow}/modelyard/releases", params=asked, auth=LOGIN, trust_env=False)
    assert [release["id"] for release in answer.json()] == [numbers[2], numbers[1]]


def test_prometheus_is_told_there_what_checks_found_when_it_logs_in(
    mlflow: str, postgresql: servers.Server
) -> None:
    check = {**FOUND, "use_case": "passengers"}
    times = {"since": datetime(2026, 1, 1, tzinfo=UTC), "until": datetime(2026, 1, 2, tzinfo=UTC)}
    about = {"use_case": "passengers", "model_version": 3, "verdict": "retrain", "found": check}
    checks.record(postgresql.url("modelyard"), **about, **times)
    address = f"{mlflow}/modelyard/metrics"
    answer = httpx.get(address, auth=LOGIN, trust_env=False)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'modelyard_check_verdict{use_case="passengers",verdict="retrain"} 1.0' in answer.text
    assert httpx.get(address, trust_env=False).status_code == 401
    assert httpx.post(address, auth=LOGIN, trust_env=False).status_code == 405
