"""Run a pipeline on the active stack and get at what its steps returned."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from errors import Interrupted, ModelyardError, UsageError
from stacks import shortcuts
from stacks.apply import in_cluster

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
    On a cluster the definition itself runs there, too, in the orchestrator's pod.

    Raises:
        ModelyardError: a step failed. Errors of ours come through as they were raised.
    """
    from zenml.client import Client

    prepared = prepare(name, definition, cache=cache)
    tracking_uri = os.environ.get("MLFLOW_TRACKING_URI")
    try:
        started = prepared(**parameters)
    finally:
        _restore_tracking(tracking_uri)
    if started is None:
        raise ModelyardError(f"ZenML started no run of {name}; see its messages above.")
    if in_cluster():
        return follow(started)
    # Fetched anew: what the call returned was read before the last step ended.
    return Run(Client().get_pipeline_run(started.id))


def prepare(name: str, definition: Callable[..., None], *, cache: bool = True) -> Any:
    """`definition` as a ZenML pipeline for the active stack."""
    from zenml import pipeline
    from zenml.client import Client
    from zenml.enums import ExecutionMode

    shortcuts.look_up_once()
    decorate: Any = pipeline
    return decorate(
        name=name,
        enable_cache=None if cache else False,
        execution_mode=ExecutionMode.FAIL_FAST,
        **(_in_pods(Client().active_stack.orchestrator) if in_cluster() else {}),
    )(definition)


def find(name: str) -> PipelineRunResponse:
    """The run of that name.

    Raises:
        UsageError: there is none.
    """
    from zenml.client import Client

    found = Client().list_pipeline_runs(name=name, hydrate=True).items
    if not found:
        newest = Client().list_pipeline_runs(sort_by="desc:created", size=5).items
        names = ", ".join(str(run.name) for run in newest) or "none"
        raise UsageError(f"There is no run {name!r}; the newest are: {names}.")
    return found[0]


def follow(started: PipelineRunResponse) -> Run:
    """Watch a run in a cluster until its end; Ctrl-C ends the watching, not the run.

    Raises:
        ModelyardError: it failed, for this reason; or watching was interrupted.
    """
    from zenml.client import Client

    from stacks.apply import file_of
    from stacks.kubernetes.watch import Watch

    stack = Client().active_stack
    watch = Watch(started, cast(Any, stack.orchestrator), file_of(stack.name))
    try:
        finished = watch.to_the_end()
    except KeyboardInterrupt:
        raise Interrupted(watch.goes_on()) from None
    if not finished.status.is_successful:
        raise watch.failure(finished)
    return Run(finished)


def _in_pods(orchestrator: Any) -> dict[str, Any]:
    """Options of a pipeline that runs as pods of an image that is there already."""
    from zenml.config import DockerSettings
    from zenml.config.retry_config import StepRetryConfig

    from stacks.kubernetes import code

    code.take_libraries_along()
    docker = cast(Any, DockerSettings)(
        parent_image=orchestrator.config.image, skip_build=True, install_stack_requirements=False
    )
    # A pod can be moved or killed at any time; the next one begins its step once more.
    return {
        "dynamic": True,
        "settings": {"docker": docker},
        "retry": cast(Any, StepRetryConfig)(max_retries=2),
    }


def _restore_tracking(uri: str | None) -> None:
    """ZenML's MLflow tracker leaves MLflow without a tracking URI; this process goes on using it."""
    if uri is None:
        return
    os.environ["MLFLOW_TRACKING_URI"] = uri
    if "mlflow" in sys.modules:
        import mlflow

        mlflow.set_tracking_uri(uri)
