"""How good a stream's predictions are of late, and how far its requests moved: gauges for Prometheus.

Read from the log, where all workers' predictions are: each worker says the same, whichever is asked.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from db.session import connect
from errors import ModelyardError

if TYPE_CHECKING:
    import pandas as pd

    from streaming.metrics import Metrics
    from usecases.base import Array, UseCase

EVERY_SECONDS = 15.0
KNOWN, COMPARED = 20_000, 5_000
"""Rows that a look takes at most: the newest outcomes, and predictions drawn at random."""

_KNOWN = """
SELECT p.model_version, (p.output ->> :field)::double precision, o.value
FROM outcomes o JOIN predictions p USING (use_case, request_id, row)
WHERE o.use_case = :use_case
  AND o.at > (SELECT max(at) FROM outcomes WHERE use_case = :use_case) - :window
ORDER BY o.at DESC LIMIT :rows
"""

logger = logging.getLogger("modelyard.stream")


def known(url: str, use_case: UseCase, window: timedelta) -> dict[int, tuple[Array, Array]]:
    """Model version → what came true and what was predicted, of the newest outcomes by event time.

    The window ends with the newest outcome, whenever it came: an outcome that is late counts as long as it
    happened in the window, and so does one that came before its prediction, once that is there.
    """
    asked = {
        "field": use_case.contract.prediction_field,
        "use_case": use_case.name,
        "window": window,
        "rows": KNOWN,
    }
    with connect(url) as connection:
        rows = connection.execute(text(_KNOWN), asked).all()
    found: dict[int, list[tuple[float, float]]] = {}
    for version, prediction, value in rows:
        if prediction is not None:
            found.setdefault(version, []).append((value, prediction))
    arrays = {version: np.array(pairs, dtype=np.float64) for version, pairs in found.items()}
    return {version: (pairs[:, 0], pairs[:, 1]) for version, pairs in arrays.items()}


def drift(
    url: str, use_case: UseCase, version: int, reference: pd.DataFrame, window: timedelta
) -> dict[str, float]:
    """Column → how far a version's requests of the last `window` are from those that it was judged by.

    Distances are those of `monitor`; nothing of less than its least number of rows.
    """
    from monitoring import comparison
    from monitoring import window as windows

    until = datetime.now(UTC)
    seen = windows.survey(url, use_case.name, until - window, until)
    if seen is None or version not in seen.rows:
        return {}
    drawn = windows.draw(url, seen, version, use_case.contract.prediction_field, known=False, size=COMPARED)
    rows = windows.frame(use_case, drawn, known=False, size=COMPARED).rows
    nothing = windows.frame(use_case, [], known=True).rows
    found = comparison.compare(
        use_case,
        comparison.Reference(version, reference),
        comparison.Current(rows, seen.rows[version], nothing, 0),
        seen.since,
        seen.until,
        estimate=False,
    )
    shifts = [*found.shifts, *([found.prediction] if found.prediction else [])]
    return {shift.column: shift.distance for shift in shifts}


class Gauges:
    """Looks again and again, in a thread."""

    def __init__(
        self, url: str, use_case: str, version: Callable[[], int], metrics: Metrics, window: timedelta
    ) -> None:
        self._url, self._use_case, self._version = url, use_case, version
        self._metrics, self._window = metrics, window

    def start(self, stopping: threading.Event) -> None:
        """Begin; what cannot be known is told once, and the gauge left out."""
        threading.Thread(target=self._run, args=(stopping,), name="gauges", daemon=True).start()

    def look(self) -> None:
        """Set the gauges to what is so now."""
        import usecases

        case = usecases.load(self._use_case)
        self._metrics.error.clear()
        for version, (truth, predictions) in known(self._url, case, self._window).items():
            try:
                score = float(case.metric.score(truth, predictions))
            except ValueError:  # of one class alone some metrics know nothing
                continue
            self._metrics.error.labels(str(version), case.metric.name).set(score)
        version = self._version()
        distances = drift(self._url, case, version, _reference(self._use_case, version), self._window)
        self._metrics.drift.clear()
        for column, distance in distances.items():
            self._metrics.drift.labels(str(version), column).set(distance)

    def _run(self, stopping: threading.Event) -> None:
        told = ""
        while not stopping.wait(EVERY_SECONDS):
            try:
                self.look()
            except (ModelyardError, SQLAlchemyError) as error:
                if str(error) != told:
                    told = str(error)
                    logger.warning("Gauges of error or drift are left out: %s", told.splitlines()[0])


@lru_cache(maxsize=2)
def _reference(use_case: str, version: int) -> pd.DataFrame:
    """The validation rows of a version, which the registry has."""
    from tracking import registry

    return registry.validation(registry.find(use_case, str(version)))
