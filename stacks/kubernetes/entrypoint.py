"""What pods of pipelines start: ZenML's entrypoint, without what it does for others only.

    python -m stacks.kubernetes.entrypoint --entrypoint_config_source … (ZenML's arguments)

By itself ZenML imports each of its integrations whose packages are installed, and compiles the validators of
all its models, before the first line of a step.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, cast

from stacks import shortcuts

_IMAGE = Path(__file__).resolve().parent.parent.parent
"""The project as the image has it; a run brings the code of whoever started it."""


def main() -> None:
    """Run the step, or the pipeline, that the arguments name."""
    shortcuts.import_zenml(store="rest")

    from zenml.entrypoints import entrypoint
    from zenml.entrypoints.base_entrypoint_configuration import BaseEntrypointConfiguration
    from zenml.integrations.registry import integration_registry

    cast(Any, integration_registry).activate_integrations = lambda: None
    prepare = BaseEntrypointConfiguration.prepare_code_environment

    def prepare_code_environment(self: BaseEntrypointConfiguration) -> None:
        prepare(self)
        if self.should_download_code:
            _forget_the_images_code()
        shortcuts.look_up_once()

    cast(Any, BaseEntrypointConfiguration).prepare_code_environment = prepare_code_environment
    _look_each_second()
    _leave_when_told_to()
    # A line for each request to an endpoint would hide what else a run has to say.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    entrypoint.main()


def _look_each_second() -> None:
    """Wait for steps in other pods by looking each second whether they ended.

    ZenML looks after 1, 2, 4 … 64 seconds: after a step of a minute it would do nothing for another half.
    """
    from zenml.enums import ExecutionStatus
    from zenml.execution.pipeline.dynamic import outputs
    from zenml.execution.pipeline.dynamic.utils import get_latest_step_run

    going_on = {ExecutionStatus.PROVISIONING, ExecutionStatus.RUNNING, ExecutionStatus.RETRYING}

    def wait(self: Any) -> Any:
        while True:
            if self._wrapped:
                self._wrapped.result()
            found = get_latest_step_run(self.pipeline_run_id, self.invocation_id, hydrate=False)
            if found.status not in going_on:
                return found
            time.sleep(1)

    cast(Any, outputs._IsolatedStepFuture)._wait_for_step_to_finish = wait


def _leave_when_told_to() -> None:
    """End at SIGTERM as by SIGKILL: the next pod goes on where this one was.

    ZenML begins the step once more here, with seconds left; one that had just succeeded fails by that.
    """
    from zenml.exceptions import RunStoppedException
    from zenml.orchestrators.signal_handler import SignalHandler

    def leave(number: int, _frame: Any) -> None:
        os._exit(128 + number)

    def handle(self: Any, number: int, frame: Any) -> None:
        why = self._finalize_shutdown()
        if isinstance(why, RunStoppedException):  # by a person, and noted now
            raise why
        leave(number, frame)

    cast(Any, SignalHandler)._handle = handle
    # A container's first process is deaf to it otherwise.
    signal.signal(signal.SIGTERM, leave)


def _forget_the_images_code() -> None:
    """Let the next import take what the run brought, not what was imported to get here."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name != "__main__" and file and Path(file).is_relative_to(_IMAGE):
            del sys.modules[name]
    sys.path[:] = [folder for folder in sys.path if Path(folder).resolve() != _IMAGE]


if __name__ == "__main__":
    main()
