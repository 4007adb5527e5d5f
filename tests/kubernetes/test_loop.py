"""A cluster keeps a model good by itself: a schedule checks, decides, retrains, releases; pods are killed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pandas as pd
import pytest

import usecases
from monitoring.window import SETTLE_SECONDS
from serving.rows import requests
from settings import PROJECT
from tests.integration.command_line import CommandLine
from tests.kubernetes import data, endpoints, probes
from tests.kubernetes.cluster import Platform, installed, logged, wait_for
from tests.kubernetes.data import Trips
from usecases.taxi import sources
from usecases.taxi.cleaning import PICKUP

Say = Callable[[str], None]

CASE = usecases.load("taxi")
ROUND = 420
"""Seconds that a round may take which trains and releases, on a small machine that does other things."""


def month_comes(trips: Trips, month: str) -> None:
    """To where the loop looks for data."""
    body = BytesIO()
    of_month(month).to_parquet(body)
    trips.put(month, body.getvalue())


def of_month(month: str) -> pd.DataFrame:
    """The bundled trips of a month."""
    trips = pd.read_parquet(sources.SAMPLE)
    return trips[trips[PICKUP].dt.strftime("%Y-%m") == month]


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    """One on which nothing was trained before."""
    with installed() as found:
        yield found


@pytest.fixture(scope="module")
def run(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return platform.command_line(tmp_path_factory.mktemp("laptop"))


@pytest.fixture(scope="module")
def trips(platform: Platform) -> Iterator[Trips]:
    with data.trips(platform) as found:
        yield found


@pytest.fixture(scope="module")
def told_by_pods(platform: Platform) -> Iterator[Callable[[], list[Any]]]:
    """What pods of pipelines tell people, by a webhook in the cluster whose URL is in a Secret."""
    place = f"{platform.namespace}-people"
    with probes.hearing(platform, place) as (host, heard):
        url = f"json://{host}:{probes.PORT}"
        platform.kubectl(
            "create", "secret", "generic", "people", "--from-file=webhook=/dev/stdin", stdin=url
        )  # fmt: skip
        way = "networkPolicy.pipelinesEgress[1]"
        platform.helm(
            "upgrade",
            "--set=alerts.existingSecret=people,alerts.key=webhook",
            rf"--set={way}.to[0].namespaceSelector.matchLabels.kubernetes\.io/metadata\.name={place}",
            f"--set={way}.ports[0].port={probes.PORT}",
        )
        yield heard


@pytest.fixture(scope="module")
def champion(run: CommandLine, trips: Trips, told_by_pods: Callable[[], list[Any]]) -> dict[str, Any]:
    """A first model, of one month, asked for by hand; it serves."""
    month_comes(trips, "2024-01")
    done = run(
        "--stack", "kubernetes", "retrain", "taxi", "--if-needed", "--source", trips.url,
        "--candidates", "ridge",
    )  # fmt: skip
    assert done.code == 0, done
    return done.document


def decisions(run: CommandLine) -> list[dict[str, Any]]:
    """On record, the newest first."""
    found: list[dict[str, Any]] = run("--stack", "kubernetes", "decisions", "taxi").document["decisions"]
    return found


def told(run: CommandLine) -> Callable[[], str]:
    def words() -> str:
        lines = [
            f"{each['id']} {each['decision']} {each['status']} {each['result']}" for each in decisions(run)
        ]
        return "\n".join([*lines, str(run("--stack", "kubernetes", "schedules").document)])

    return words


def asked(platform: Platform, month: str, rows: int) -> None:
    """The endpoint is asked about trips of a month, and told what became of them."""
    trips = CASE.clean(of_month(month)).frame.query("trip_distance <= 100").head(rows)
    with endpoints.at("service/taxi", platform.inference) as http:
        for start in range(0, len(trips), 1_000):
            part = trips.iloc[start : start + 1_000]
            name = f"{month}-{start}"
            body = {"rows": requests(CASE.contract, part[CASE.request_columns])}
            http.post("/predict_batch", json=body, headers={"X-Request-ID": name}).raise_for_status()
            outcomes = [
                {"request_id": name, "row": row, "value": float(value)}
                for row, value in enumerate(part[CASE.target])
            ]
            http.post("/outcomes", json={"outcomes": outcomes}).raise_for_status()
    query = (
        "SELECT count(*) AS rows FROM predictions JOIN outcomes USING (use_case, request_id, row) "
        f"WHERE greatest(predictions.at, received_at) < now() - interval '{SETTLE_SECONDS} s'"
    )

    def there() -> bool:
        return bool(logged(platform, query)[0]["rows"] == rows)

    wait_for(there, lambda: f"{rows} rows in the log: {logged(platform, query)}", 60)


def orchestrators(platform: Platform) -> list[str]:
    """Names of pods that a pipeline runs in."""
    selector = "--selector=modelyard.dev/role=orchestrator"
    found = platform.get(
        "pods", selector, "--field-selector=status.phase=Running", namespace=platform.pipelines
    )
    return [pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]]


def test_by_hand_a_first_model_is_trained_and_released_by_one_run(
    champion: dict[str, Any], run: CommandLine
) -> None:
    assert champion["decision"] == "retrain"
    assert "There is no champion yet, and 1 file at s3://" in champion["reasons"][0]
    assert champion["release"]["model_version"] == champion["training"]["version"] == 1
    (decision,) = decisions(run)
    assert (decision["status"], decision["result"]["release"]["model_version"]) == ("done", 1)
    again = run("--stack", "kubernetes", "retrain", "taxi", "--if-needed")
    assert (again.code, again.document["decision"]) == (0, "nothing"), again


def test_the_pod_of_that_round_told_people_by_the_webhook_of_the_secret(
    champion: dict[str, Any], told_by_pods: Callable[[], list[Any]]
) -> None:
    (alert,) = told_by_pods()
    assert alert["title"] == f"taxi version 1 serves (release {champion['release']['release']})"
    # Nobody said how browsers reach this platform, so that the run is named and not linked.
    assert re.search(r"^run: [a-z_]+taxi-\S+$", alert["message"], re.MULTILINE)


def test_a_pod_scores_what_lies_on_s3_and_leaves_the_result_there(
    champion: dict[str, Any], run: CommandLine, trips: Trips
) -> None:
    output = f"s3://{trips.bucket}/scored"
    done = run(
        "--stack", "kubernetes", "score", "taxi", "--input", trips.url, "--output", output,
        "--max-refused", "100%",
    )  # fmt: skip
    assert done.code == 0, done
    assert done.document["rows"] == len(of_month("2024-01"))
    body = trips.s3.get_object(Bucket=trips.bucket, Key="scored/part-00000.parquet")["Body"].read()
    scored = pd.read_parquet(BytesIO(body))
    assert len(scored) == done.document["scored"] > 10_000
    assert set(scored["model_version"]) == {champion["training"]["version"]}
    assert scored["duration_minutes"].between(0, 120).all()


def test_a_schedule_checks_what_was_logged_learns_from_the_new_month_and_releases_it_though_its_pod_is_killed(
    champion: dict[str, Any], run: CommandLine, platform: Platform, trips: Trips, say: Say
) -> None:
    asked(platform, "2024-02", 3_000)
    month_comes(trips, "2024-02")
    made = run(
        "--stack", "kubernetes", "schedule", "taxi", "--cron", "* * * * *", "--watch", "--candidates", "ridge"
    )  # fmt: skip
    assert made.code == 0, made
    (schedule,) = run("--stack", "kubernetes", "schedules").document["schedules"]
    assert (schedule["use_case"], schedule["what"]) == ("taxi", "watch")

    def begun() -> dict[str, Any] | None:
        newest = decisions(run)[0]
        return newest if newest["decision"] == "retrain" and newest["id"] > champion["number"] else None

    decision = wait_for(begun, told(run), ROUND, pause=2)
    say(f"decided: {decision['reasons']}")
    assert decision["decided_by"] == "a schedule"
    assert "green_tripdata_2024-02.parquet" in decision["reasons"][0]
    (check,) = run("--stack", "kubernetes", "checks", "taxi").document["checks"]
    assert decision["evidence"]["check"]["id"] == check["id"]
    assert (check["found"]["rows"], check["found"]["outcomes"]) == (3_000, 3_000)

    (killed,) = orchestrators(platform)
    platform.in_pipelines("delete", "pod", killed, "--grace-period=0", "--force")

    def ended() -> dict[str, Any] | None:
        (found,) = (each for each in decisions(run) if each["id"] == decision["id"])
        return found if found["status"] != "begun" else None

    done = wait_for(ended, told(run), ROUND, pause=2)
    say(f"came of it: {done['status']} {done['result']}")
    assert done["status"] == "done", done
    assert done["result"]["training"]["promoted"]
    version = done["result"]["release"]["model_version"]
    with endpoints.at("service/taxi", platform.inference) as http:
        answer = http.post("/predict", json=dict(CASE.example)).json()
    assert answer["model_version"] == version == 2
    (serving, *_) = run("--stack", "kubernetes", "history", "taxi").document["releases"]
    assert (serving["model_version"], serving["status"]) == (2, "serving")
    assert serving["why"].startswith(f"decision {decision['id']}: ")


def test_the_next_round_finds_nothing_to_do(run: CommandLine, say: Say) -> None:
    def nothing() -> dict[str, Any] | None:
        newest = decisions(run)[0]
        return newest if newest["decision"] == "nothing" and newest["decided_by"] == "a schedule" else None

    found = wait_for(nothing, told(run), ROUND, pause=2)
    say(f"decided: {found['reasons']}")
    assert found["evidence"]["champion"]["version"] == 2
    assert any("Version 2 has learnt from the 2 files at s3://" in reason for reason in found["reasons"])


def test_what_a_round_had_begun_that_is_gone_for_good_is_given_up_by_the_next(
    run: CommandLine, platform: Platform
) -> None:
    before = decisions(run)[0]["id"]
    with subprocess.Popen(
        # Another seed, so that nothing comes from the cache and it is under way for a while.
        [sys.executable, "run.py", "--stack", "kubernetes", "retrain", "taxi", "--seed", "7", "--json"],
        cwd=PROJECT,
        env=run.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as by_hand:
        begun = wait_for(
            lambda: next((each for each in decisions(run) if each["status"] == "begun"), None),
            told(run),
            ROUND,
            pause=2,
        )
        name = begun["result"]["run"]
        assert begun["id"] > before
        platform.in_pipelines("delete", "job", f"--selector=run_name={name}")
        said, _ = by_hand.communicate(timeout=120)
    assert by_hand.returncode == 1, said

    def given_up() -> dict[str, Any] | None:
        (found,) = (each for each in decisions(run) if each["id"] == begun["id"])
        return found if found["status"] != "begun" else None

    found = wait_for(given_up, told(run), ROUND, pause=2)
    assert (found["status"], found["result"]) == (
        "abandoned",
        {"run": name, "error": f"its run {name} was gone"},
    )


def test_without_its_schedule_nothing_begins_any_more(run: CommandLine, platform: Platform) -> None:
    assert run("--stack", "kubernetes", "unschedule", "taxi").code == 0
    assert platform.get("cronjobs", namespace=platform.pipelines) == []


def test_a_month_that_cannot_be_read_ends_the_decision_with_the_reason_and_what_serves_stays(
    champion: dict[str, Any], run: CommandLine, trips: Trips
) -> None:
    before = run("--stack", "kubernetes", "history", "taxi").document["releases"]
    trips.put("2023-12", b"no Parquet")
    done = run("--stack", "kubernetes", "retrain", "taxi", "--if-needed", "--candidates", "ridge")
    assert done.code == 1, done
    assert "green_tripdata_2023-12.parquet" in done.document["error"]
    newest = decisions(run)[0]
    assert newest["status"] == "failed"
    assert "green_tripdata_2023-12.parquet" in newest["result"]["error"]
    assert run("--stack", "kubernetes", "history", "taxi").document["releases"] == before


def test_options_that_mean_nothing_to_a_round_are_refused(run: CommandLine) -> None:
    line = ("--stack", "kubernetes", "schedule", "taxi", "--cron", "* * * * *")
    for options, words in ((("--watch", "--release"), "leave out --release"), (("--window", "2"), "--watch")):
        done = run(*line, *options)
        assert done.code == 2
        assert words in done.document["error"]
