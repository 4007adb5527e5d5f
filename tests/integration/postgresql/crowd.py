"""Clients of one ZenML server at once, a thread each: `python crowd.py COUNT`.

Says `ready`, waits for a line on stdin, then lets all go at once: each saves three artifacts and reads them.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from zenml import save_artifact
from zenml.client import Client


def main() -> None:
    """Wait, then let all go at once; fail with the first that fails."""
    count = int(sys.argv[1])
    _ = Client().active_stack
    meeting = Barrier(count)

    def work(number: int) -> None:
        meeting.wait()
        for turn in range(3):
            saved = save_artifact(turn, name=f"artifact {number}", tags=["shared"])
            assert Client().get_artifact_version(saved.id).version == str(turn + 1)

    print("ready", flush=True)
    sys.stdin.readline()
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(work, range(count)))


if __name__ == "__main__":
    main()
