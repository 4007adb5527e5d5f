"""What goes wrong in a cluster is said in a sentence, and what can go on goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from settings import PROJECT
from tests.integration.command_line import CommandLine, Done
from tests.kubernetes.cluster import Platform, wait_for

STACK = PROJECT / "stacks" / "kubernetes.yaml"


@pytest.fixture
def stack() -> Any:
    """Writes a stack file that differs from the cluster's; returns its name."""
    written: list[Path] = []

    def write(name: str, *changes: tuple[str, str]) -> str:
        text = STACK.read_text().replace("name: kubernetes\n", f"name: {name}\n")
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        written.append(STACK.with_name(f"{name}.yaml"))
        written[-1].write_text(text)
        return name

    yield write
    for path in written:
        path.unlink()


ORCHESTRATOR = "resources: {requests: {cpu: 100m, memory: 768Mi}, limits: {memory: 3Gi}}"
COMPETE = "compete: {requests: {cpu: 250m, memory: 1Gi}, limits: {memory: 3Gi}}"


def test_an_image_that_is_not_there_ends_the_command_at_once(
    run: CommandLine, stack: Callable[..., str]
) -> None:
    name = stack("wrong-image", ('image: "{image}"', 'image: "registry.invalid/nothing:1"'))
    done = run("--stack", name, "example_pipeline")
    assert done.code == 1
    assert "cannot start: its image registry.invalid/nothing:1 cannot be pulled" in done.document["error"]


def test_a_step_that_needs_too_much_memory_is_named_with_its_limit(
    run: CommandLine, stack: Callable[..., str]
) -> None:
    name = stack(
        "little-memory", (COMPETE, "compete: {requests: {cpu: 100m, memory: 128Mi}, limits: {memory: 128Mi}}")
    )
    done = run("--stack", name, "train", "titanic", "--candidates", "logistic")
    assert done.code == 1
    assert "The step compete_logistic" in done.document["error"]
    assert "for using more than the 128Mi of memory" in done.document["error"]


def test_a_quota_that_keeps_a_pod_away_is_quoted(platform: Platform, run: CommandLine) -> None:
    platform.in_pipelines("create", "quota", "none", "--hard=pods=0")
    try:
        with Running(run, "example_pipeline") as command:
            command.says("gets no pod", "exceeded quota: none")
            command.interrupt()
    finally:
        platform.in_pipelines("delete", "quota", "none")


def test_a_pod_that_no_node_takes_is_explained_and_ctrl_c_leaves_the_run_to_be_followed(
    run: CommandLine, stack: Callable[..., str], platform: Platform
) -> None:
    name = stack(
        "much-memory",
        (ORCHESTRATOR, "resources: {requests: {cpu: 250m, memory: 900Gi}, limits: {memory: 900Gi}}"),
    )
    with Running(run, "example_pipeline", stack=name) as command:
        command.says("waits: no node has room for it", "Insufficient memory")
        end = command.interrupt()
    assert end.code == 130
    assert "goes on in the cluster" in end.document["error"]
    assert f"--stack {name} follow" in end.document["error"]
    followed = end.document["error"].split("follow ")[1].split()[0]
    (job,) = [
        job
        for job in platform.get("jobs", namespace=platform.pipelines)
        if job["metadata"]["labels"].get("run_name") == followed
    ]
    assert not job["status"].get("failed")
    platform.in_pipelines("delete", "job", "--selector", f"run_name={followed}")
    gone = run("--stack", name, "follow", followed)
    assert gone.code == 1
    assert f"The run {followed} was ended: its Job was deleted" in gone.document["error"]


def test_a_run_that_is_stopped_makes_its_command_say_so(run: CommandLine) -> None:
    with Running(run, "train", "titanic", "--seed", "14", "--trials", "300") as command:
        command.says("train: split")
        listed = run.tool(
            "--stack", "kubernetes", "zenml", "pipeline", "runs", "list", "--size=1", "--output=json"
        )
        name = json.loads(listed)["items"][0]["run_name"]
        run.tool("--stack", "kubernetes", "zenml", "pipeline", "runs", "stop", "--yes", name)
        end = command.ends()
    assert end.code == 1
    assert end.document["error"] == f"The run {name} was stopped."


def test_a_run_that_was_left_is_followed_to_its_end(run: CommandLine) -> None:
    with Running(run, "train", "titanic", "--seed", "11") as command:
        command.says("train: ingest")
        end = command.interrupt()
    name = end.document["error"].split("follow ")[1].split()[0]
    done = run("--stack", "kubernetes", "follow", name)
    assert done.code == 0, done
    assert done.document["run"] == name


def test_data_that_break_the_contract_end_the_command_as_on_a_laptop(
    run: CommandLine, tmp_path: Path
) -> None:
    import pandas as pd

    from usecases.taxi.sources import SAMPLE

    trips = pd.read_parquet(SAMPLE).head(2000)
    trips["trip_distance"] = -1.0
    trips.to_parquet(tmp_path / "green_tripdata_2024-01.parquet")
    done = run("--stack", "kubernetes", "train", "taxi", "--source", str(tmp_path))
    assert done.code == 1
    assert done.document["error"].startswith("The data break the contract of taxi")


def test_a_step_whose_pod_is_killed_is_tried_again(run: CommandLine, platform: Platform) -> None:
    with Running(run, "train", "titanic", "--seed", "12", "--trials", "15") as command:
        kill(platform, "step", "step_name=compete_gradient_boosting")
        done = command.ends()
    assert done.document["run"], done
    assert "Step `compete_gradient_boosting` failed; it is tried again." in done.stderr


def test_a_run_whose_orchestrator_is_killed_goes_on_where_it_was(
    run: CommandLine, platform: Platform
) -> None:
    with Running(run, "train", "titanic", "--seed", "13", "--trials", "15") as command:
        wait_for(
            lambda: platform.get(
                "pods",
                "--selector=modelyard.dev/role=step",
                "--field-selector=status.phase=Running",
                namespace=platform.pipelines,
            ),
            "a running step",
        )
        kill(platform, "orchestrator")
        done = command.ends()
    assert done.document["run"], done
    steps = [stage["stage"] for stage in done.document["stages"]]
    assert steps.count("train: ingest") == 1
    assert steps.count("train: compete_gradient_boosting") == 1


def test_an_orchestrator_that_is_told_to_end_leaves_at_once_and_the_next_one_takes_its_place(
    run: CommandLine, platform: Platform
) -> None:
    with Running(run, "train", "titanic", "--seed", "15", "--trials", "300") as command:
        command.says("train: split")
        begun = time.monotonic()
        ended = kill(platform, "orchestrator", at_once=False)
        assert time.monotonic() - begun < ended["spec"]["terminationGracePeriodSeconds"]
        end = command.interrupt()
    name = end.document["error"].split("follow ")[1].split()[0]
    (job,) = platform.get("jobs", f"--selector=run_name={name},!step_name", namespace=platform.pipelines)
    wait_for(
        lambda: platform.get(
            "pods",
            f"--selector=job-name={job['metadata']['name']}",
            "--field-selector=status.phase=Running",
            namespace=platform.pipelines,
        ),
        "the next orchestrator",
    )
    platform.in_pipelines("delete", "job", f"--selector=run_name={name}")


@pytest.mark.parametrize("part", ["zenml", "mlflow", "s3"])
def test_a_part_of_the_platform_that_does_not_answer_is_named(
    part: str, run: CommandLine, platform: Platform
) -> None:
    names = {"zenml": "ZenML", "mlflow": "MLflow", "s3": "S3"}
    platform.kubectl("scale", f"deployment/{platform.release}-{part}", "--replicas=0")
    try:
        wait_for(
            lambda: not platform.get("pods", f"--selector=app.kubernetes.io/component={part}"),
            f"{part} gone",
        )
        done = run("--stack", "kubernetes", "stack", "apply")
        assert done.code == 1
        assert f"  {names[part]}: kubectl cannot forward a port" in done.document["error"]
        for other in set(names.values()) - {names[part]}:
            assert f"  {other}" not in done.document["error"]
    finally:
        platform.kubectl("scale", f"deployment/{platform.release}-{part}", "--replicas=1")
        platform.kubectl("rollout", "status", f"deployment/{platform.release}-{part}", "--timeout=120s")


def test_a_cluster_without_the_platform_says_how_to_install_it(platform: Platform, tmp_path: Path) -> None:
    elsewhere = CommandLine(tmp_path, 3000, MODELYARD_KUBE_NAMESPACE="default")
    done = elsewhere("--stack", "kubernetes", "stack", "apply")
    assert done.code == 1
    assert "helm install modelyard helm/modelyard --namespace default" in done.document["error"]


def test_a_context_that_kubectl_does_not_know_is_named(tmp_path: Path) -> None:
    done = CommandLine(tmp_path, 3000, MODELYARD_KUBE_CONTEXT="moon")(
        "--stack", "kubernetes", "stack", "apply"
    )
    assert done.code == 1
    assert "moon" in done.document["error"]
    assert "MODELYARD_KUBE_CONTEXT" in done.document["error"]


def kill(platform: Platform, role: str, label: str = "run_id", *, at_once: bool = True) -> dict[str, Any]:
    """Kill a running pod, as the kernel would, or tell it to end; returns it when it is gone."""

    def running() -> list[dict[str, Any]]:
        return platform.get(
            "pods",
            f"--selector=modelyard.dev/role={role},{label}",
            "--field-selector=status.phase=Running",
            namespace=platform.pipelines,
        )

    (pod, *_) = wait_for(running, f"a running pod of the {role}")
    how = ("--force", "--grace-period=0") if at_once else ()
    platform.in_pipelines("delete", "pod", pod["metadata"]["name"], *how)
    return pod


class Running:
    """A command that is still at work."""

    def __init__(self, run: CommandLine, *arguments: str, stack: str = "kubernetes") -> None:
        # Whoever runs the tests in the background has Ctrl-C ignored, by all that they start, too.
        command = ["env", "--default-signal=INT", sys.executable, "run.py", "--stack", stack, *arguments]
        self._process = subprocess.Popen(
            [*command, "--json"],
            cwd=PROJECT,
            env=run.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        self._process.communicate()

    def says(self, *words: str) -> None:
        """Wait until all of it was said, in one line."""
        wait_for(
            lambda: any(all(word in line for word in words) for line in self._said),
            lambda: f"{words} in:\n{''.join(self._said)}",
        )

    def interrupt(self) -> Done:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)
        return self.ends()

    def ends(self) -> Done:
        """Wait for its end."""
        assert self._process.stdout is not None
        document = self._process.stdout.read()
        self._reader.join()
        return Done(self._process.wait(), json.loads(document), "".join(self._said))

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said.append(line)
