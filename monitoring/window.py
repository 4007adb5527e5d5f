"""What endpoints have logged in a time: the one reader of predictions and outcomes for checks.

However much was logged, as many rows as `SAMPLE` are read, drawn at random; how many there are is counted by
PostgreSQL. A row is drawn by a hash of its id and of the window: the same window gives the same rows.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError
from sqlalchemy import Connection, text

from db.session import engine
from monitoring.performance import PREDICTION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from usecases.base import UseCase

SAMPLE = 50_000
"""Rows that a check looks at: more would not find smaller shifts that matter."""
SETTLE_SECONDS = 10
"""A window ends so long before now: endpoints ship what they logged within a second or two."""

Row = tuple[int, str, str | None, float | None]
"""Hash, request, prediction, and what came true; both as the log has them."""

_CHUNK = 5_000
# So much more than the sample is drawn, and the surplus left out: the drawing by hash hits its number only
# nearly. Of 50,000 rows, 1,000 are more than four standard deviations.
_SURPLUS = 1_000
_HASHES = 2**64

_VERSIONS = """
SELECT model_version, count(*) AS rows FROM predictions
WHERE use_case = :use_case AND at >= :since AND at < :until GROUP BY model_version
"""
_KNOWN_VERSIONS = """
SELECT model_version, count(*) AS rows FROM outcomes JOIN predictions USING (use_case, request_id, row)
WHERE use_case = :use_case AND received_at >= :since AND received_at < :until GROUP BY model_version
"""
# The time is hashed, too: who gives all requests one id has a sample nevertheless.
_HASH = "hashtextextended(request_id || ' ' || row || ' ' || extract(epoch FROM predictions.at), :seed)"
_DRAWN = f"""
SELECT {_HASH} AS hash, inputs::text, output ->> :field AS prediction, NULL AS value FROM predictions
WHERE use_case = :use_case AND model_version = :version AND at >= :since AND at < :until AND {_HASH} < :below
"""  # noqa: S608 - nothing in it comes from outside
_DRAWN_KNOWN = f"""
SELECT {_HASH} AS hash, inputs::text, output ->> :field AS prediction, value
FROM outcomes JOIN predictions USING (use_case, request_id, row)
WHERE use_case = :use_case AND model_version = :version AND received_at >= :since AND received_at < :until
  AND {_HASH} < :below
"""  # noqa: S608
_FIRST = "SELECT min(at) FROM predictions WHERE use_case = :use_case"


class Window(BaseModel):
    """A time, and how much was logged in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    use_case: str
    since: AwareDatetime
    until: AwareDatetime
    rows: dict[int, int]
    """Model version → its predictions with `since <= at < until`."""
    outcomes: dict[int, int]
    """Model version → its predictions, of any time, with an outcome of `since <= received_at < until`."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing came."""
        return not self.rows and not self.outcomes

    def version(self, serving: int | None) -> int:
        """The version to check: the one that serves if anything came of it, else the newest that did."""
        there = {*self.rows, *self.outcomes}
        return serving if serving in there else max(there)


@dataclass(frozen=True)
class Drawn:
    """Rows that were drawn at random."""

    rows: pd.DataFrame
    """Request columns, `prediction`, and the use case's target where outcomes were asked for."""
    unreadable: int
    """Rows left out, since today's contract of the use case would not take them."""


def survey(url: str, use_case: str, since: datetime | None, until: datetime) -> Window | None:
    """What was logged from `since` (by default the use case's first prediction) until `until`.

    None where there is no prediction, or none before `until`.
    """
    with _reading(url) as connection:
        asked: dict[str, Any] = {"use_case": use_case}
        since = since or connection.execute(text(_FIRST), asked).scalar_one()
        if since is None or since >= until:
            return None
        asked |= {"since": since, "until": until}
        return Window(
            **asked,
            rows=dict(connection.execute(text(_VERSIONS), asked).tuples().all()),
            outcomes=dict(connection.execute(text(_KNOWN_VERSIONS), asked).tuples().all()),
        )


def count(url: str, use_case: str, version: int, since: datetime, until: datetime) -> int:
    """Predictions of a version in a time."""
    asked = {"use_case": use_case, "since": since, "until": until}
    with _reading(url) as connection:
        found: dict[int, int] = dict(connection.execute(text(_VERSIONS), asked).tuples().all())
        return found.get(version, 0)


def draw(
    url: str, window: Window, version: int, field: str, *, known: bool, size: int = SAMPLE
) -> Iterator[Row]:
    """Some more than `size` of the version's predictions in the window, or all; read as they are asked for.

    With `known` those whose outcome came in it. `field` is that of a response that holds the prediction.
    """
    there = (window.outcomes if known else window.rows).get(version, 0)
    share = min(1.0, (size + _SURPLUS) / there) if there else 1.0
    asked = {
        "use_case": window.use_case,
        "field": field,
        "version": version,
        "since": window.since,
        "until": window.until,
        "seed": zlib.crc32(f"{window.since.timestamp()} {window.until.timestamp()}".encode()),
        # Hashes are signed; one of 2**64 is lost where all are wanted.
        "below": min(int(share * _HASHES) - _HASHES // 2, _HASHES // 2 - 1),
    }
    with _reading(url) as connection:
        streaming = connection.execution_options(yield_per=_CHUNK)
        yield from streaming.execute(text(_DRAWN_KNOWN if known else _DRAWN), asked).tuples()


def frame(use_case: UseCase, drawn: Iterable[Row], *, known: bool, size: int = SAMPLE) -> Drawn:
    """What was drawn as a frame of `size` rows, or of all that there are."""
    found = list(drawn)
    if len(found) > size:
        found.sort(key=lambda row: row[0])
        del found[size:]
    validate = use_case.request.__pydantic_validator__.validate_json
    requests, predictions, values = [], [], []
    for _, inputs, prediction, value in found:
        try:
            request = validate(inputs)
        except ValidationError:
            continue
        # None where the version answered by another contract.
        if prediction is None or not math.isfinite(float(prediction)) or not math.isfinite(value or 0.0):
            continue
        requests.append(request)
        predictions.append(float(prediction))
        values.append(value)
    rows = use_case.request_frame(requests)
    # Of a column in which nothing was given pandas does not know what it would hold.
    empty = [name for name in rows.columns if rows[name].isna().all()]
    rows = rows.astype(dict.fromkeys(empty, np.float64))
    rows[PREDICTION] = np.array(predictions, dtype=np.float64)
    if known:
        rows[use_case.target] = np.array(values, dtype=np.float64)
    return Drawn(rows, unreadable=len(found) - len(requests))


@contextmanager
def _reading(url: str) -> Iterator[Connection]:
    """A connection that changes nothing, and whose transaction a cursor can stay open in."""
    with engine(url).connect() as connection:
        yield connection.execution_options(postgresql_readonly=True)
