"""Keeps PostgreSQL and the endpoints of released champions running: `python -m console.keeper`.

A service of the platform (console/platform.py); it ends with its supervisor, what it keeps does not.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from errors import ModelyardError

if TYPE_CHECKING:
    from db.models import Release
    from settings import Settings

EVERY_SECONDS = 1.0
LONGEST_PAUSE = 60.0
"""Seconds between two tries to start an endpoint that dies again and again."""


def main() -> None:
    """Look after them until SIGTERM."""
    from settings import Settings
    from stacks.platform.process import end_with_parent

    end_with_parent()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    keeper = Keeper(Settings())
    while not ended.wait(EVERY_SECONDS):
        keeper.look()


class Keeper:
    """What was tried, so that an endpoint that cannot start is tried later and later."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tries: dict[int, tuple[int, float]] = {}
        self._trouble = ""

    def look(self) -> None:
        """Start what should run and doesn't; what goes wrong is written down once and tried again."""
        from sqlalchemy.exc import SQLAlchemyError

        from db import releases as record
        from db.databases import prepare
        from db.migrate import upgrade
        from releases.local import TARGET

        try:
            url = prepare(self._settings).modelyard
            upgrade(url)
            for serving in record.all_serving(url, TARGET):
                self._look_at(url, serving)
            self._trouble = ""
        except (ModelyardError, SQLAlchemyError) as error:
            trouble = f"{type(error).__name__}: {error}"
            if trouble != self._trouble:
                _say(trouble)
            self._trouble = trouble

    def _look_at(self, url: str, serving: Release) -> None:
        from releases import release

        if release.is_running(serving):
            return
        tries, after = self._tries.get(serving.id, (0, 0.0))
        if time.monotonic() < after:
            return
        pause = min(2.0**tries, LONGEST_PAUSE)
        self._tries[serving.id] = (tries + 1, time.monotonic() + pause)
        _say(f"The endpoint of {serving.use_case} version {serving.model_version} is gone: starting it")
        if release.revive(self._settings, url, serving):
            _say(f"The endpoint of {serving.use_case} serves again at {serving.address}")


def _say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
