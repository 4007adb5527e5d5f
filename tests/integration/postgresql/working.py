"""Note runs and artifacts in one store, together with other processes: `python working.py NUMBER COUNT`.

Says `ready`, waits for a line on stdin, then works on what all share: one pipeline, two artifacts, one tag.
Before them, `python working.py` alone runs that pipeline once.
"""

from __future__ import annotations

import os
import sys

from zenml import log_metadata, pipeline, save_artifact, step
from zenml.client import Client
from zenml.enums import ExecutionStatus
from zenml.models import PipelineRunRequest, PipelineRunUpdate
from zenml.utils.time_utils import utc_now

from stacks.postgresql import initialize, install


@step
def one() -> int:
    """A number."""
    return 1


@pipeline
def shared() -> None:
    """One step."""
    one()


def main() -> None:
    """Install, then run the pipeline, or wait and work."""
    install()
    initialize(os.environ["ZENML_STORE_URL"])
    if len(sys.argv) == 1:
        shared.with_options(run_name="first")()
    else:
        work(sys.argv[1], int(sys.argv[2]))


def work(number: str, count: int) -> None:
    """Wait, then note `count` runs with an artifact each."""
    client = Client()
    first = client.get_pipeline_run("first")
    assert first.pipeline
    assert first.snapshot
    print("ready", flush=True)
    sys.stdin.readline()
    for turn in range(count):
        run, _ = client.zen_store.get_or_create_run(
            PipelineRunRequest(
                project=first.project_id,
                name=f"run {number} {turn}",
                snapshot=first.snapshot.id,
                pipeline=first.pipeline.id,
                orchestrator_run_id=f"{number} {turn}",
                status=ExecutionStatus.RUNNING,
                tags=["shared"],
            )
        )
        saved = save_artifact(turn, name=f"artifact {turn % 2}", tags=["shared"])
        log_metadata({"turn": turn}, artifact_version_id=saved.id)
        ended = PipelineRunUpdate(status=ExecutionStatus.FAILED, end_time=utc_now())
        client.zen_store.update_run(run.id, ended)


if __name__ == "__main__":
    main()
