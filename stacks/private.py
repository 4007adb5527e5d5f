"""Files with secrets: made once, whole or not at all, readable by their owner alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def keep(path: Path, make: Callable[[], str]) -> tuple[str, bool]:
    """What is kept in `path`, made by `make` when there is none; and whether it was made just now.

    Of two processes that make it at once one wins, and both get what that one made.
    """
    if path.exists():
        return path.read_text(), False
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written under another name first: a second process never reads half of it.
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(make())
    made = False
    with suppress(FileExistsError):
        os.link(draft, path)
        made = True
    draft.unlink()
    return path.read_text(), made
