"""Score in a process that kills itself at one of the points where it makes something last.

`python -m tests.integration.scoring.killed BENTO INPUT OUTPUT RUN [POINT]`: kill -9 just before (`3`) or just
after (`3+`) the third lasting change; without a point it goes on to the end.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from scoring import files, places, tables
from scoring.rows import Scorer
from scoring.run import score
from serving import endpoint

ROWS = 100
"""Rows of a part."""


def main(bento: str, source: str, target: str, run: str, point: str = "") -> None:
    files.CHUNK = tables.CHUNK = ROWS
    if point:
        _die_at(point)
    rows = places.source(source, None)
    record = score(
        rows,
        places.target(target, rows),
        Scorer(endpoint.load(Path(bento) / "src"), run),
        {"use_case": "titanic"},
    )
    print(record.model_dump_json())


def _die_at(point: str) -> None:
    number, after = int(point.rstrip("+")), point.endswith("+")
    made = 0

    def dying(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any) -> Any:
            nonlocal made
            made += 1
            if made == number and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            done = change(*arguments)
            if made == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        return changed

    Path.replace = dying(Path.replace)  # type: ignore[method-assign]

    @event.listens_for(Engine, "engine_connect")
    def _connected(connection: Any) -> None:
        dialect = connection.dialect
        if not hasattr(dialect, "dies"):
            dialect.dies = True
            dialect.do_commit = dying(dialect.do_commit)


if __name__ == "__main__":
    main(*sys.argv[1:])
