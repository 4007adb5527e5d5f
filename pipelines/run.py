"""Run a pipeline on the active stack and get at what its steps returned."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from errors import ModelyardError
from stacks import shortcuts

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse


@dataclass(frozen=True)
class Stage:
    """One step of a finished run."""

    name: str
    seconds: float
    cached: bool


@dataclass(frozen=True)
class Run:
    """A finished pipeline run."""

    response: PipelineRunResponse

    @property
    def name(self) -> str:
        """ZenML's name of the run."""
        return str(self.response.name)

    def output(self, step: str, name: str) -> Any:
        """The artifact `name` that `step` returned."""
        return self.response.steps[step].outputs[name][0].load()

    def stages(self) -> list[Stage]:
        """The steps in the order in which they ran; a cached one took no time."""
        steps = self.response.steps
        stages = [
            Stage(
                name=name,
                seconds=(step.end_time - step.start_time).total_seconds()
                if step.end_time and step.start_time
                else 0.0,
                cached=step.status == "cached",
            )
            for name, step in sorted(steps.items(), key=lambda item: str(item[1].created))
        ]
        return [Stage(s.name, 0.0, True) if s.cached else s for s in stages]


def run(
    name: str, definition: Callable[..., None], parameters: Mapping[str, Any], *, cache: bool = True
) -> Run:
    """Run `definition` as the pipeline `name` and wait for its end.

    With `cache`, steps whose code, parameters and inputs are those of an earlier run take its results.

    Raises:
        ModelyardError: a step failed. Errors of ours come through as they were raised.
    """
    from zenml import pipeline
    from zenml.client import Client
    from zenml.enums import ExecutionMode

    shortcuts.look_up_once()
    prepared = pipeline(
        name=name, enable_cache=None if cache else False, execution_mode=ExecutionMode.FAIL_FAST
    )(definition)
    tracking_uri = os.environ.get("MLFLOW_TRACKING_URI")
    try:
        started = prepared(**parameters)
    finally:
        _restore_tracking(tracking_uri)
    if started is None:
        raise ModelyardError(f"ZenML started no run of {name}; see its messages above.")
    # Fetched anew: what the call returned was read before the last step ended. And on a remote stack a
    # failed run returns normally.
    finished = Client().get_pipeline_run(started.id)
    if not finished.status.is_successful:
        failed = sorted(step for step, ran in finished.steps.items() if ran.status.is_failed)
        raise ModelyardError(
            f"The run {finished.name} ended {finished.status.value}; failed: "
            f"{', '.join(failed) or 'no step'}. "
            f"Look at it: python run.py zenml pipeline runs describe {finished.name}"
        )
    return Run(finished)


def _restore_tracking(uri: str | None) -> None:
    """ZenML's MLflow tracker leaves MLflow without a tracking URI; this process goes on using it."""
    if uri is None:
        return
    os.environ["MLFLOW_TRACKING_URI"] = uri
    if "mlflow" in sys.modules:
        import mlflow

        mlflow.set_tracking_uri(uri)
