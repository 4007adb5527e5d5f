"""The model that a stream scores by: the one that serves, from one release to the next."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from errors import ModelyardError
from streaming.scoring import Scorer

if TYPE_CHECKING:
    from serving.endpoint import Endpoint

LOOK_SECONDS = 1.0
"""Between two looks at what is on record."""
LONGEST_PAUSE = 60.0

logger = logging.getLogger("modelyard.stream")


class Following:
    """What serves, loaded; once something else does, that is loaded beside it and takes over."""

    def __init__(self, serving: Callable[[], str], load: Callable[[str], Endpoint]) -> None:
        """`serving` names the Bento on record as the one that serves, `load` loads it.

        Raises:
            ModelyardError: none serves, or it does not answer as it should.
        """
        self._serving, self._load = serving, load
        self._bento = serving()
        self._scorer = Scorer(load(self._bento))

    def __call__(self) -> Scorer:
        """The model of now; between two batches it may become another."""
        return self._scorer

    def start(self, stopping: threading.Event) -> None:
        """Look at the record from now on, in a thread."""
        threading.Thread(target=self._follow, args=(stopping,), name="releases", daemon=True).start()

    def _follow(self, stopping: threading.Event) -> None:
        pause, told = LOOK_SECONDS, ""
        while not stopping.wait(pause):
            try:
                bento = self._serving()
                if bento != self._bento:
                    self._scorer, self._bento = Scorer(self._load(bento)), bento
                    logger.info("%s scores from now on", bento)
            except (ModelyardError, SQLAlchemyError, OSError) as error:
                pause = min(2 * pause, LONGEST_PAUSE)
                if str(error) != told:
                    told = str(error)
                    logger.warning("%s goes on scoring: %s", self._bento, told.splitlines()[0])
            else:
                pause, told = LOOK_SECONDS, ""
