"""Open ZenML's store on an empty PostgreSQL: `python opening.py [die]`, together with other processes.

Says `ready`, waits for a line on stdin, then prints the names of the stacks that it finds. With `die` the
process kills itself at the worst moment: the tables are made, and their revision is not noted yet.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from stacks.postgresql import initialize, install


def main() -> None:
    """Install, wait, open."""
    install()
    from zenml.client import Client
    from zenml.zen_stores.migrations.alembic import Alembic

    if "die" in sys.argv[1:]:

        def die(*_: Any) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        Alembic.stamp = die  # type: ignore[method-assign]
    print("ready", flush=True)
    sys.stdin.readline()
    initialize(os.environ["ZENML_STORE_URL"])
    print(*sorted(stack.name for stack in Client().list_stacks()))


if __name__ == "__main__":
    main()
