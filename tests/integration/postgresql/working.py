"""Note runs and artifacts in one store by many processes at once: `python working.py LABEL PROCESSES COUNT`.

Says `ready`, waits for a line on stdin, then works on what all share: one pipeline, two artifacts, one tag.
Each of the COUNT turns is ten operations: begin a run, read it, list it; save an artifact, read it, list its
versions; note metadata, read them back; end the run, read how it ended.
Before them, `python working.py` alone runs that pipeline once.
"""

from __future__ import annotations

import os
import sys
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier

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
    if len(sys.argv) == 1:
        initialize(os.environ["ZENML_STORE_URL"])
        shared.with_options(run_name="first")()
        return
    label, processes, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    # Forked before the store is opened, so that ZenML is imported once.
    context = get_context("fork")
    # With a time, so that none stays behind when this one is killed.
    meeting = context.Barrier(processes + 1, timeout=120)
    workers = [
        context.Process(target=work, args=(f"{label} {number}", count, meeting))
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    meeting.wait()
    print("ready", flush=True)
    sys.stdin.readline()
    meeting.wait()
    for worker in workers:
        worker.join()
    sys.exit(any(worker.exitcode for worker in workers))


def work(name: str, count: int, meeting: Barrier) -> None:
    """Wait, then note `count` runs with an artifact each."""
    initialize(os.environ["ZENML_STORE_URL"])
    client = Client()
    first = client.get_pipeline_run("first")
    assert first.pipeline
    assert first.snapshot
    meeting.wait()
    meeting.wait()
    for turn in range(count):
        run, _ = client.zen_store.get_or_create_run(
            PipelineRunRequest(
                project=first.project_id,
                name=f"{name} {turn}",
                snapshot=first.snapshot.id,
                pipeline=first.pipeline.id,
                orchestrator_run_id=f"{name} {turn}",
                status=ExecutionStatus.RUNNING,
                tags=["shared"],
            )
        )
        assert client.get_pipeline_run(run.id, hydrate=False).status == ExecutionStatus.RUNNING
        assert client.list_pipeline_runs(name=run.name).total == 1
        saved = save_artifact(turn, name=f"artifact {turn % 2}", tags=["shared"])
        assert client.get_artifact_version(saved.id, hydrate=False).version == saved.version
        assert client.list_artifact_versions(artifact=saved.artifact.id, version=saved.version).total == 1
        log_metadata({"turn": turn}, artifact_version_id=saved.id)
        assert client.get_artifact_version(saved.id).run_metadata["turn"] == turn
        ended = PipelineRunUpdate(status=ExecutionStatus.FAILED, end_time=utc_now())
        client.zen_store.update_run(run.id, ended)
        assert client.get_pipeline_run(run.id, hydrate=False).status == ExecutionStatus.FAILED


if __name__ == "__main__":
    main()
