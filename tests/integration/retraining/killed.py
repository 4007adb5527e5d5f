"""A command of run.py that is killed at a moment: `python -m tests.integration.retraining.killed AT …`.

AT is `before` or `after` and a function, such as `before:db.decisions.end`: when that is called, this process
gets SIGKILL, as from a machine that runs out of memory.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import Any, NoReturn

from console.command import main
from run import app


def kill(*_: Any, **__: Any) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def set_trap(at: str) -> None:
    when, _, where = at.partition(":")
    module, _, name = where.rpartition(".")
    place: Any = importlib.import_module(module)
    real = getattr(place, name)
    setattr(place, name, kill if when == "before" else lambda *a, **k: kill(real(*a, **k)))


if __name__ == "__main__":
    set_trap(sys.argv.pop(1))
    main(app)
