"""The whole way by commands: train, release, ask, release another, try a canary, go back, read on."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import usecases
from console import cluster_state
from settings import Settings
from tests.integration.command_line import CommandLine, read
from tests.kubernetes import endpoints
from tests.kubernetes.cluster import Platform, command, wait_for

ON = ("--stack", "kubernetes")
RATE = 40.0
"""Requests a second while another version is released: a taxi model takes 6 ms of a core for each."""

Document = dict[str, Any]


def done(run: CommandLine, *arguments: str, code: int = 0) -> Document:
    ended = run(*ON, *arguments)
    assert ended.code == code, ended
    return ended.document


def registered(run: CommandLine, *arguments: str) -> Document:
    """A training; its version may be released whether it became champion (0) or not (3)."""
    ended = run(*ON, "train", *arguments)
    assert ended.code in (0, 3), ended
    return ended.document


@pytest.fixture(scope="module")
def trained(run: CommandLine) -> Document:
    """The first version, on the bundled trips."""
    return registered(run, "taxi")


@pytest.fixture(scope="module")
def other(trained: Document, run: CommandLine) -> Document:
    """Another one, which is worse."""
    return registered(run, "taxi", "--candidates", "baseline,ridge")


@pytest.fixture(scope="module")
def released(trained: Document, run: CommandLine) -> Document:
    return done(run, "release", "taxi", "--version", str(trained["version"]))


def deployment(platform: Platform, name: str = "taxi") -> Document:
    (found,) = platform.get("deployment", name, namespace=platform.inference)
    return found


def image(platform: Platform) -> str:
    return str(deployment(platform)["spec"]["template"]["spec"]["containers"][0]["image"])


def let_serve(trained: Document, run: CommandLine, platform: Platform) -> None:
    """Let a version serve that did before, in the quickest way."""
    version = str(trained["version"])
    labels = deployment(platform)["spec"]["template"]["metadata"]["labels"]
    if labels["modelyard.dev/model-version"] != version:
        done(run, "rollback", "taxi", "--to", version)


def test_without_a_release_there_is_nobody_to_ask_and_nothing_on_record(run: CommandLine) -> None:
    asked = done(run, "predict", "taxi", json.dumps(dict(usecases.load("taxi").example)), code=1)
    assert "No endpoint serves taxi" in asked["error"]
    nothing = {"use_case": "taxi", "releases": [], "stream": None, "drift": []}
    assert done(run, "history", "taxi") == nothing
    assert "to go back to" in done(run, "rollback", "taxi", code=2)["error"]


def test_every_pod_serves_the_version_within_30_seconds_of_its_release(
    released: Document, trained: Document, platform: Platform, say: Callable[[str], None]
) -> None:
    stages = {stage["stage"]: stage["seconds"] for stage in released["stages"]}
    say(f"released in {stages}; of deploy: {released['seconds']}")
    assert stages["release: publish"] + stages["release: deploy"] < 30
    assert released["verified"] > 1000
    assert image(platform) == released["image"]
    found = deployment(platform)
    assert found["status"]["readyReplicas"] == found["status"]["updatedReplicas"] == 2
    version = found["spec"]["template"]["metadata"]["labels"]["modelyard.dev/model-version"]
    assert version == str(trained["version"])


def test_predictions_by_the_service_are_those_made_offline(
    released: Document,
    trained: Document,
    run: CommandLine,
    platform: Platform,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from stacks.kubernetes import cluster
    from tracking import registry

    found = cluster.connect(Settings(home=tmp_path, kube_namespace=platform.namespace))
    for name, value in found.environment().items():
        monkeypatch.setenv(name, value)
    offline = registry.load(registry.find("taxi", str(trained["version"]))).validation
    columns = usecases.load("taxi").request_columns
    trips, answers = tmp_path / "trips.parquet", tmp_path / "answers.parquet"
    offline[columns].to_parquet(trips)
    asked = done(run, "predict", "taxi", "--file", str(trips), "--output", str(answers))
    assert asked["rows"] == len(offline) > 1000
    came = pd.read_parquet(answers)
    answered = came["refused"].isna()
    assert answered.mean() > 0.9
    differ = (came["duration_minutes"] - offline[registry.PREDICTION].to_numpy())[answered].abs()
    assert differ.max() <= usecases.load("taxi").parity


def test_a_version_that_never_served_waits_for_its_approval_where_that_is_required(
    released: Document, other: Document, run: CommandLine, platform: Platform
) -> None:
    before = image(platform)
    asked = ("release", "taxi", "--version", str(other["version"]), "--require-approval")
    assert "was not approved" in done(run, *asked, code=3)["error"]
    assert image(platform) == before
    approved = done(run, "approve", "taxi", str(other["version"]))
    assert len(approved["model"]) == 64


def test_another_version_takes_over_under_load_and_no_request_fails(
    released: Document,
    trained: Document,
    other: Document,
    run: CommandLine,
    platform: Platform,
    say: Callable[[str], None],
) -> None:
    command("kubectl", "create", "namespace", endpoints.outside(platform))
    try:
        with endpoints.asked(platform, rate=RATE, use_case="taxi") as counts:
            done(run, "release", "taxi", "--version", str(other["version"]))
    finally:
        command("kubectl", "delete", "namespace", endpoints.outside(platform), "--wait=false")
    say(f"taxi: {counts}")
    assert counts.failures == []
    assert set(counts.versions or {}) == {str(trained["version"]), str(other["version"])}


def test_a_canary_that_is_not_asked_enough_is_withdrawn_and_the_command_says_so(
    released: Document, other: Document, trained: Document, run: CommandLine, platform: Platform
) -> None:
    let_serve(other, run, platform)
    before = image(platform)
    version = str(trained["version"])
    tried = done(run, "release", "taxi", "--version", version, "--canary", "50%", "--for", "2", code=3)
    assert "are needed to compare" in tried["withdrawn"]
    assert image(platform) == before


def test_going_back_is_one_command_and_the_history_has_it(
    released: Document, other: Document, trained: Document, run: CommandLine, platform: Platform
) -> None:
    let_serve(other, run, platform)
    back = done(run, "rollback", "taxi", "--to", str(trained["version"]))
    assert back["model_version"] == trained["version"]
    assert image(platform) == released["image"]
    history = done(run, "history", "taxi")
    assert history["drift"] == []
    newest, *before = history["releases"]
    assert (newest["status"], newest["model_version"]) == ("serving", trained["version"])
    assert newest["why"].startswith("rollback from release")
    assert newest["released_by"]
    by_run = [one for one in before if one["zenml_run"]]
    assert by_run
    assert all(one["image"].partition("@")[2].startswith("sha256:") for one in history["releases"])
    evidence = newest["evidence"]
    assert len(evidence["model"]) == 64
    assert evidence["judgement"]["verdicts"]
    verified = done(run, "history", "taxi", "--verify")
    assert verified["problems"] == []
    assert [one["problems"] for one in verified["releases"]] == [[]] * len(history["releases"])


def test_status_says_what_each_use_case_runs_without_anything_on_this_machine(
    released: Document, trained: Document, run: CommandLine, platform: Platform
) -> None:
    let_serve(trained, run, platform)
    ended = run(*ON, "status")
    status = ended.document
    assert (status["namespace"], status["endpoints"]) == (platform.namespace, platform.inference)
    taxi = next(row for row in status["use_cases"] if row["use_case"] == "taxi")
    endpoint = taxi["endpoint"]
    assert (endpoint["model_version"], endpoint["image"]) == (trained["version"], image(platform))
    assert endpoint["ready"] == endpoint["pods"] > 0
    assert (taxi["canary"], taxi["stream"], taxi["drift"]) == (None, None, [])
    assert taxi["champion"]
    shown = read(cluster_state.report, ended)
    assert f"http://taxi.{platform.inference}.svc" in shown
    assert f"version {trained['version']}" in shown


def test_what_somebody_else_applied_is_seen_and_put_right_by_the_next_release(
    released: Document, other: Document, trained: Document, run: CommandLine, platform: Platform
) -> None:
    kubectl = ("kubectl", "--namespace", platform.inference)
    let_serve(other, run, platform)
    recorded = image(platform)
    command(*kubectl, "set", "image", "deployment/taxi", f"taxi={released['image']}")
    command(*kubectl, "rollout", "status", "deployment/taxi", "--timeout=120s")
    (sentence,) = done(run, "history", "taxi")["drift"]
    assert "Somebody applied that without a release" in sentence
    assert sentence in [found for row in done(run, "status")["use_cases"] for found in row["drift"]]
    found = done(run, "history", "taxi", "--verify", code=1)["releases"]
    assert [problem for one in found for problem in one["problems"]] == [
        f"image: {recorded} was released, the cluster runs {released['image']}"
    ]
    again = done(run, "release", "taxi", "--version", str(other["version"]))
    assert again["changed"]
    assert image(platform) == recorded
    assert done(run, "history", "taxi")["drift"] == []


def test_what_render_prints_gives_the_same_endpoint(
    released: Document, trained: Document, run: CommandLine, platform: Platform, tmp_path: Path
) -> None:
    let_serve(trained, run, platform)
    before = deployment(platform)
    printed = tmp_path / "taxi.yaml"
    printed.write_text(run.tool(*ON, "release", "taxi", "--version", str(trained["version"]), "--render"))
    command("kubectl", "apply", "--server-side", "--force-conflicts", "--filename", str(printed))
    after = deployment(platform)
    assert after["spec"] == before["spec"]
    command("kubectl", "delete", "--filename", str(printed), "--wait")
    command("kubectl", "apply", "--filename", str(printed))
    command(
        "kubectl", "--namespace", platform.inference, "rollout", "status", "deployment/taxi", "--timeout=120s"
    )
    example = json.dumps(dict(usecases.load("taxi").example))
    answer = wait_for(lambda: run(*ON, "predict", "taxi", example).document.get("response"), "an answer")
    assert answer["model_version"] == trained["version"]


def test_a_training_in_a_pod_releases_by_itself_with_the_rights_of_its_account(
    run: CommandLine, platform: Platform
) -> None:
    trained = done(run, "train", "titanic", "--release")
    outcome = trained["release"]
    assert outcome["model_version"] == trained["champion"]
    (found,) = platform.get("deployment", "titanic", namespace=platform.inference)
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == outcome["image"]
    newest = done(run, "history", "titanic")["releases"][0]
    assert (newest["status"], newest["why"]) == ("serving", "champion, after its training")


def test_a_release_whose_pod_is_killed_on_the_way_is_done_by_the_next_pod(
    released: Document, other: Document, trained: Document, run: CommandLine, platform: Platform
) -> None:
    let_serve(trained, run, platform)
    with ThreadPoolExecutor() as pool:
        releasing = pool.submit(done, run, "release", "taxi", "--version", str(other["version"]))
        wait_for(
            lambda: "NotFound" not in platform.kubectl(
                "--namespace", platform.inference, "get", "deployment", "taxi-canary", check=False
            ),
            "a candidate",
        )  # fmt: skip
        running = platform.in_pipelines(
            "get", "pods", "--selector=modelyard.dev/role=orchestrator", "--output=name",
            "--field-selector=status.phase=Running",
        ).split()  # fmt: skip
        platform.in_pipelines("delete", "--grace-period=0", "--force", *running)
        outcome = releasing.result()
    assert outcome["model_version"] == other["version"]
    assert image(platform) == outcome["image"]
    history = done(run, "history", "taxi")
    assert history["drift"] == []
    serving, killed = history["releases"][:2]
    assert (serving["status"], killed["status"]) == ("serving", "failed")
    assert killed["reason"].startswith("it was interrupted")


def test_a_release_that_is_given_up_makes_the_command_fail_and_says_why(
    released: Document, run: CommandLine, platform: Platform
) -> None:
    before = image(platform)
    failed = done(run, "release", "taxi", "--version", "999", code=1)
    assert "has no version 999" in failed["error"]
    assert image(platform) == before
