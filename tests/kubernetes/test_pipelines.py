"""Pipelines as pods: nothing but the stack's name differs from a laptop, and the results are the same."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.command_line import CommandLine
from tests.kubernetes.cluster import Platform

MONTHS = ("--months", "2024-01,2024-02", "--cutoff", "2024-02-01")


def test_the_stack_is_applied_once_and_the_second_time_nothing_changes(run: CommandLine) -> None:
    first = run("--stack", "kubernetes", "stack", "apply")
    assert first.code == 0, first
    second = run("--stack", "kubernetes", "stack", "apply")
    assert second.document["changes"] == []


def test_the_hello_world_writes_its_file_where_pods_can(run: CommandLine) -> None:
    done = run("--stack", "kubernetes", "example_pipeline")
    assert done.code == 0, done
    assert done.document["file"].startswith("s3://")
    assert [stage["stage"] for stage in done.document["stages"]][1:4] == [
        "example_pipeline: load_titanic",
        "example_pipeline: fill_in_missing_values",
        "example_pipeline: export_titanic_clean",
    ]


@pytest.fixture(scope="module")
def trained(run: CommandLine, months: Path) -> dict[str, object]:
    done = run("--stack", "kubernetes", "train", "taxi", "--source", str(months), *MONTHS)
    assert done.code == 0, done
    return done.document


def test_a_training_in_pods_gives_what_one_on_this_machine_gives(
    trained: dict[str, object], months: Path, tmp_path: Path
) -> None:
    laptop = CommandLine(tmp_path, 3000)
    try:
        here = laptop("train", "taxi", "--source", str(months), *MONTHS).document
    finally:
        laptop("stop")
    for part in ("rows", "winner", "score", "reference_score", "slices", "gates"):
        assert trained[part] == here[part]
    scores = [
        {candidate["candidate"]: candidate["score"] for candidate in there["candidates"]}
        for there in (trained, here)
    ]
    assert scores[0] == scores[1]


def test_it_takes_no_longer_than_three_minutes(trained: dict[str, object]) -> None:
    stages = trained["stages"]
    assert isinstance(stages, list)
    assert sum(stage["seconds"] for stage in stages) < 180, stages


def test_heavy_steps_had_pods_of_their_own_without_rights_and_with_their_own_resources(
    trained: dict[str, object], platform: Platform
) -> None:
    pods = platform.get("pods", "--selector=modelyard.dev/role=step", namespace=platform.pipelines)
    # Others may have trained on this platform before.
    competed = [pod for pod in pods if "-train-taxi-compete-" in pod["metadata"]["name"]]
    assert len({pod["metadata"]["labels"]["step_name"] for pod in competed}) == 3
    for pod in competed:
        assert pod["spec"]["serviceAccountName"] == f"{platform.release}-step"
        assert pod["spec"]["automountServiceAccountToken"] is False
        (container,) = pod["spec"]["containers"]
        assert container["resources"] == {
            "requests": {"cpu": "250m", "memory": "1Gi"},
            "limits": {"memory": "3Gi"},
        }


def test_no_pod_has_a_password_or_a_token_in_its_specification(
    trained: dict[str, object], platform: Platform
) -> None:
    keys = platform.get("secret", f"{platform.release}-s3")[0]["data"]
    login = platform.get("secret", f"{platform.release}-login")[0]["data"]
    jobs = json.dumps(platform.get("jobs", namespace=platform.pipelines))
    for value in (keys["access-key"], keys["secret-key"], login["password"]):
        assert base64.b64decode(value).decode() not in jobs
    variables = [
        variable
        for job in platform.get("jobs", namespace=platform.pipelines)
        for variable in job["spec"]["template"]["spec"]["containers"][0]["env"]
    ]
    tokens = [variable for variable in variables if "TOKEN" in variable["name"]]
    assert tokens
    assert all("valueFrom" in variable for variable in tokens)


def test_the_same_training_again_takes_its_steps_from_the_cache_and_the_champion_stands(
    trained: dict[str, object], run: CommandLine, months: Path
) -> None:
    again = run("--stack", "kubernetes", "train", "taxi", "--source", str(months), *MONTHS).document
    assert again["champion_stands"]
    computed = {stage["stage"] for stage in again["stages"] if not stage["cached"]}
    # Judged anew against the champion that the first one made; promoting is never taken from the cache.
    assert (
        not {f"train: {step}" for step in ("ingest", "clean", "split", "compete_gradient_boosting")}
        & computed
    )


def test_many_months_are_prepared_in_a_pod_each_and_give_the_same_numbers(
    run: CommandLine, months: Path, platform: Platform, tmp_path: Path
) -> None:
    options = ("train", "taxi", "--source", str(months), "--candidates", "ridge", "--cutoff", "2024-02-01")
    there = run("--stack", "kubernetes", *options, "--months", "2023-11..2024-02").document
    pods = platform.get("pods", "--selector=modelyard.dev/role=step", namespace=platform.pipelines)
    names = {pod["metadata"]["labels"]["step_name"] for pod in pods}
    assert {name for name in names if name.startswith("prepare_")} == {
        f"prepare_green_tripdata_{month}" for month in ("2023-11", "2023-12", "2024-01", "2024-02")
    }
    laptop = CommandLine(tmp_path, 3000)
    try:
        here = laptop(*options, "--months", "2023-11..2024-02").document
    finally:
        laptop("stop")
    for part in ("rows", "score"):
        assert there[part] == here[part]
    # Beside another reference: the platform has a champion by now.
    assert slices(there) == slices(here)


def slices(document: dict[str, Any]) -> dict[str, dict[str, float]]:
    return {
        name: {value: found["score"] for value, found in values.items()}
        for name, values in document["slices"].items()
    }


def test_the_run_is_on_record_behind_the_clusters_server(
    trained: dict[str, object], run: CommandLine
) -> None:
    runs = run.tool("--stack", "kubernetes", "zenml", "pipeline", "runs", "list", "--columns=name,status")
    assert str(trained["run"]) in runs
