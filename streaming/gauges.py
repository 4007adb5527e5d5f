"""How good a stream's predictions are of late, and how far its requests moved: gauges for Prometheus.

Read from the log, where all workers' predictions are: each worker says the same, whichever is asked.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from db.session import connect
from errors import DataError, ModelyardError

if TYPE_CHECKING:
    import pandas as pd

    from serving.endpoint import Endpoint
    from streaming.metrics import Metrics
    from usecases.base import Array, UseCase

EVERY_SECONDS = 60.0
"""Between looks, each of which keeps the database from events for a third of a second on two CPUs."""
KNOWN, NEWEST, COMPARED = 20_000, 50_000, 5_000
"""Rows that a look takes at most: the newest outcomes; the newest predictions, so that a look costs the same
however much is logged; and those drawn from these at random."""

_KNOWN = """
SELECT p.model_version, (p.output ->> :field)::double precision, o.value
FROM outcomes o JOIN predictions p USING (use_case, request_id, row)
WHERE o.use_case = :use_case
  AND o.at > (SELECT max(at) FROM outcomes WHERE use_case = :use_case) - :window
ORDER BY o.at DESC LIMIT :rows
"""

_BOUND = """
SELECT at FROM predictions WHERE use_case = :use_case AND at > :since ORDER BY at DESC OFFSET :rows LIMIT 1
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
    """Column → how far the newest requests of a version in `window` are from those that it was judged by.

    Distances are those of `monitor`; nothing of less than its least number of rows.
    """
    from monitoring import comparison
    from monitoring import window as windows

    until = datetime.now(UTC)
    asked = {"use_case": use_case.name, "since": until - window, "rows": NEWEST}
    with connect(url) as connection:
        since = connection.execute(text(_BOUND), asked).scalar() or until - window
    seen = windows.survey(url, use_case.name, since, until)
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


class Found(NamedTuple):
    """What a look found."""

    metric: str
    error: dict[int, float]
    """Of each model version."""
    drift: dict[str, float]
    """Of each column, of the version that scores."""
    trouble: str | None
    """Why something is left out."""


def look(url: str, use_case: str, version: int, bento: Path, window: timedelta) -> Found:
    """Live error and drift of now, as far as the log can be read; `bento` has the version's sources."""
    import usecases

    case = usecases.load(use_case)
    errors: dict[int, float] = {}
    distances: dict[str, float] = {}
    trouble = None
    try:
        for number, (truth, predictions) in known(url, case, window).items():
            with suppress(ValueError):  # of one class alone some metrics know nothing
                errors[number] = float(case.metric.score(truth, predictions))
        distances = drift(url, case, version, _reference(bento), window)
    except (ModelyardError, SQLAlchemyError) as error:
        trouble = str(error)
    return Found(case.metric.name, errors, distances, trouble)


class Gauges:
    """Looks again and again, in a process of its own: a look takes seconds, for which no event waits."""

    def __init__(
        self, url: str, use_case: str, model: Callable[[], Endpoint], metrics: Metrics, window: timedelta
    ) -> None:
        self._arguments = (url, use_case, window)
        self._model, self._metrics = model, metrics

    def start(self, stopping: threading.Event) -> None:
        """Begin; what cannot be known is told once, and the gauge left out."""
        threading.Thread(target=self._run, args=(stopping,), name="gauges", daemon=True).start()

    def _run(self, stopping: threading.Event) -> None:
        told, looker = "", None
        # The first look at once: it imports for seconds, and events have not come yet.
        pause = 0.0
        while not stopping.wait(pause):
            pause = EVERY_SECONDS
            looker, model = looker or _looker(self._arguments), self._model()
            trouble: str | None = "the process that looks has ended."
            try:
                looker.send((model.version, model.folder))
                found: Found = looker.recv()
            except (EOFError, OSError):
                looker = None
            else:
                self._show(found, model.version)
                trouble = found.trouble
            if trouble and trouble != told and not stopping.is_set():
                told = trouble
                logger.warning("Gauges of error or drift are left out: %s", told.splitlines()[0])

    def _show(self, found: Found, scoring: int) -> None:
        self._metrics.error.clear()
        for version, score in found.error.items():
            self._metrics.error.labels(str(version), found.metric).set(score)
        self._metrics.drift.clear()
        for column, distance in found.drift.items():
            self._metrics.drift.labels(str(scoring), column).set(distance)


def _looker(arguments: tuple[str, str, timedelta]) -> Connection:
    """A process that is told versions and their Bentos, and answers what it found; it ends with this one."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    context.Process(target=_answer, args=(theirs, *arguments), name="gauges", daemon=True).start()
    theirs.close()
    return ours


def _answer(connection: Connection, url: str, use_case: str, window: timedelta) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(10)
    while True:
        try:
            version, bento = connection.recv()
        except EOFError:
            return
        connection.send(look(url, use_case, version, bento, window))


@lru_cache(maxsize=2)
def _reference(bento: Path) -> pd.DataFrame:
    """Rows that a version was judged by.

    Raises:
        DataError: its Bento has none.
    """
    import pandas as pd

    from serving.endpoint import REFERENCE

    try:
        return pd.read_parquet(bento / REFERENCE)
    except FileNotFoundError:
        raise DataError(
            f"the Bento in {bento.parent} is of before Bentos had rows to measure drift from; release again."
        ) from None
