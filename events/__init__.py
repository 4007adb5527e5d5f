"""Tell other systems what happened, as CloudEvents: `deliver(settings)` brings what is noted to all targets.

Events are noted by `db.events` in the transaction of what they tell of. Whoever has the database brings them
on: each command that noted one, the loop, and the platform's MLflow server every few seconds. So an event is
delivered at least once, whatever is killed; its id tells a repetition.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from settings import Settings

SECONDS = 10.0
"""So long a command brings events on before it goes on itself."""
PAUSE = 5.0
"""Seconds between two looks of a server."""
BRIEFLY = 1.0
"""So long a look takes: commands wait for it."""

logger = logging.getLogger("modelyard")


def targets(settings: Settings) -> list[str]:
    """The addresses of MODELYARD_EVENTS."""
    return settings.events.get_secret_value().split() if settings.events else []


def deliver(settings: Settings, seconds: float = SECONDS) -> None:
    """Bring what waits to all targets, for so many seconds at most; raises nothing.

    What a target does not take is tried again, by whoever comes next. Where there is no database, as in a
    pipeline's pod, nothing waits.
    """
    if not targets(settings):
        return
    try:
        from db.databases import migrated
        from events.delivery import sweep

        if url := migrated(settings):
            sweep(settings, url, seconds)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not stop what it tells of
        # Not its text: it may have an address in it.
        logger.warning("Events wait: %s", type(error).__name__)


@contextmanager
def delivering(settings: Settings, url: str) -> Iterator[None]:
    """Bring on what waits in the database at `url` every few seconds, by a thread of this process."""
    from events.delivery import sweep

    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            try:
                sweep(settings, url, BRIEFLY)
            except Exception as error:  # noqa: BLE001 - the database may be away for a while
                logger.warning("Events wait: %s", type(error).__name__)
            ended.wait(PAUSE)

    thread = threading.Thread(target=look, name="events", daemon=True)
    if targets(settings):
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if thread.is_alive():
            thread.join(BRIEFLY)
