"""Run a pipeline whose first step takes as long as the test wants: `python training.py NAME…`, a run each.

The first step says `ready` and waits for a line on stdin. How each run ended is printed once it has.
"""

from __future__ import annotations

import os
import sys

from zenml import pipeline, step


@step(enable_cache=False)
def train() -> int:
    """Wait, as if for an hour of training."""
    os.write(1, b"ready\n")
    os.read(0, 100)
    return 1


@step(enable_cache=False)
def judge(model: int) -> int:
    """A step after it."""
    return model + 1


@pipeline(enable_cache=False)
def training() -> None:
    """Two steps."""
    judge(train())


def main() -> None:
    """Run, and say how it ended."""
    url = os.environ["ZENML_STORE_URL"]
    if url.startswith("postgresql"):
        from stacks.postgresql import initialize, install

        install()
        initialize(url)
    for name in sys.argv[1:]:
        try:
            training.with_options(run_name=name)()
        except Exception as error:  # noqa: BLE001
            print(f"{name}: {type(error).__name__}: {error}", flush=True)
        else:
            print(f"{name}: completed", flush=True)


if __name__ == "__main__":
    main()
