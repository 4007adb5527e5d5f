"""Pipelines whose function runs while their steps run, as on Kubernetes, on the local orchestrator.

    python -m tests.integration.dynamic meeting FOLDER
    python -m tests.integration.dynamic training FILE,…

It prints one JSON document.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

from zenml import pipeline, step
from zenml.client import Client

import usecases
from pipelines.start import start
from pipelines.training import training
from settings import Settings
from stacks import session
from tracking import registry
from training import plan as plans


@step
def meet(me: str, others: list[str], folder: str) -> tuple[Annotated[str, "name"], Annotated[int, "met"]]:
    """Comes to its end only while the others run, too."""
    (Path(folder) / me).touch()
    end = time.monotonic() + 60
    while not all((Path(folder) / other).exists() for other in others):
        if time.monotonic() > end:
            raise TimeoutError(f"{me} waited for {others} in vain")
        time.sleep(0.01)
    return me, len(others)


@step
def told(names: list[str], counts: list[int]) -> Annotated[list[str], "told"]:
    return [f"{name} met {count}" for name, count in zip(names, counts, strict=True)]


@step
def last(folder: str) -> Annotated[list[str], "seen"]:
    return sorted(path.name for path in Path(folder).iterdir())


def meeting(folder: str) -> None:
    people = ["ann", "bob", "cat"]
    met = [
        start(meet, me, [other for other in people if other != me], folder, id=f"meet_{me}") for me in people
    ]
    names, counts = (list(outputs) for outputs in zip(*met, strict=True))
    told(names, counts)
    last(folder, after=start(meet, "dan", people, folder, id="meet_dan"))


def main(which: str, argument: str) -> None:
    settings = Settings()
    session.open_tracking(session.open_stack(settings, "local", tracking=True).databases)
    parameters: dict[str, Any] = {"folder": argument}
    if which == "training":
        plan = plans.make(usecases.load("titanic"), downloads=settings.home / "downloads", source=argument)
        champion = registry.champion("titanic")
        parameters = {
            "plan": plan.model_dump(mode="json"),
            "champion": champion.number if champion else None,
        }
    prepared = pipeline(
        name=f"dynamic_{which}",
        dynamic=True,
        enable_cache=False,
        # Otherwise what is handed to a step becomes an artifact, and is read back as another type.
        environment={"ZENML_PARAMETER_SIZE_THRESHOLD": "-1"},
    )({"meeting": meeting, "training": training}[which])
    run = Client().get_pipeline_run(prepared(**parameters).id)
    outputs = {
        f"{name}.{output}": artifacts[0].load()
        for name, ran in run.steps.items()
        for output, artifacts in ran.outputs.items()
        if output in {"told", "seen", "rows", "dropped", "comparison"}
    }
    comparison = outputs.pop("select.comparison", None)
    document = {
        "status": run.status.value,
        "upstream": {name: sorted(map(str, ran.spec.upstream_steps)) for name, ran in run.steps.items()},
        "outputs": outputs,
        "scores": {r.candidate: r.scores.overall.value for r in comparison.results} if comparison else {},
    }
    print(json.dumps(document), file=sys.__stdout__)


if __name__ == "__main__":
    main(*sys.argv[1:])
