"""One check of a served model: what came in a time beside the rows that it was judged by.

Pure: the same rows give the same check. docs/drift.md says what is tested, how, and how well it works.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from errors import DataError
from monitoring import estimation, findings, performance, quality
from monitoring.check import Check, Finding, Shift
from monitoring.performance import PREDICTION
from monitoring.shifts import ALPHA, SHORT, TOLERATED, categorical, holm, numeric
from usecases.base import Monitored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from usecases.base import UseCase

MIN_ROWS = 200
"""With fewer, numbers that moved three times as far as is tolerated go unnoticed as often as not."""

_DAY = 24 * 60 * 60
_PERIOD_SHARE = 0.9
# Of a period of the rhythm, for the moments of all rows but the earliest and latest 1 %: strays don't count.


@dataclass(frozen=True)
class Reference:
    """What a model version was judged by when it was promoted."""

    model_version: int
    rows: pd.DataFrame
    """Request columns, the target and `prediction`: the version's validation rows."""


@dataclass(frozen=True)
class Current:
    """What came in a time; frames are as `UseCase.request_frame` makes them."""

    rows: pd.DataFrame
    """Request columns and `prediction` of predictions made in this time, drawn at random."""
    total: int
    """Predictions of which `rows` were drawn."""
    known: pd.DataFrame
    """Request columns, `prediction` and the target, of predictions whose outcome came in this time."""
    outcomes: int
    """Outcomes of which `known` were drawn."""


def compare(
    use_case: UseCase,
    reference: Reference,
    current: Current,
    since: datetime,
    until: datetime,
    *,
    estimate: bool = True,
) -> Check:
    """Shifts, quality and performance, and what of it is worth telling.

    Drift and measured performance ask for retraining; quality and estimated performance don't, nor does
    anything of rows that are of less than a period of the use case's rhythm. Less than `MIN_ROWS` predictions
    are not compared, nor as few outcomes. `estimate` takes seconds.

    Raises:
        DataError: a frame lacks a column, or has predictions or targets that are not finite numbers.
    """
    before, now, known = reference.rows, current.rows, current.known
    _check("The reference", before, [*use_case.request_columns, PREDICTION, use_case.target], use_case)
    _check("What came", now, [*use_case.request_columns, PREDICTION], use_case)
    _check("What came true", known, [*use_case.request_columns, PREDICTION, use_case.target], use_case)
    enough = len(now) >= MIN_ROWS
    shifts, drifts = _shifts(use_case, before, now) if enough else ([], [])
    filled = quality.compare(use_case.request, before, now) if enough else []
    measured = performance.measure(use_case, before, known) if len(known) >= MIN_ROWS else None
    estimated = estimation.estimate(use_case, before, now) if enough and estimate else None
    return Check(
        use_case=use_case.name,
        model_version=reference.model_version,
        since=since,
        until=until,
        rows=current.total,
        compared=len(now),
        outcomes=current.outcomes,
        reference_rows=len(before),
        shifts=shifts[:-1],
        prediction=shifts[-1] if shifts else None,
        quality=filled,
        performance=measured,
        estimated=estimated,
        findings=[
            *([] if enough else [findings.too_few(len(now), MIN_ROWS)]),
            *(findings.performance(measured, _short(use_case, known)) if measured else []),
            *drifts,
            *(findings.performance(estimated, None) if estimated else []),
            *(findings.quality(column, len(now)) for column in filled if column.worse),
        ],
    )


def _shifts(use_case: UseCase, before: pd.DataFrame, now: pd.DataFrame) -> tuple[list[Shift], list[Finding]]:
    """Of the monitored columns and, last, the predictions; and what of them drifted, in sentences."""
    short = _short(use_case, now)
    predictions = Monitored("numeric", "prediction", use_case.metric.unit)
    monitored = {
        name: column for name, column in use_case.monitored.items() if not (short and column.calendar)
    } | {PREDICTION: predictions}
    frames = [columns(use_case, rows) for rows in (before, now)]
    pairs = {name: (frames[0][name], frames[1][name]) for name in monitored}
    apart = [
        (numeric if column.kind == "numeric" else categorical)(*pairs[name])
        for name, column in monitored.items()
    ]
    shifts, drifts = [], []
    corrected = holm([p for _, p in apart])
    for (name, column), (distance, _), p in zip(monitored.items(), apart, corrected, strict=True):
        tolerated = TOLERATED[column.kind] if column.tolerated is None else column.tolerated
        tolerated *= SHORT if short else 1
        drifted = p < ALPHA and distance > tolerated
        shift = Shift(
            column=name, kind=column.kind, distance=distance, tolerated=tolerated, p=p, drifted=drifted
        )
        shifts.append(shift)
        if drifted:
            drifts.append(findings.drift(shift, column, *pairs[name], short, name == PREDICTION))
    return shifts, drifts


def columns(use_case: UseCase, rows: pd.DataFrame) -> Mapping[str, pd.Series]:
    """All columns that can be monitored, by name; features before request columns of the same name."""
    requests = rows[use_case.request_columns]
    features = use_case.features(requests)
    return {
        **{str(name): requests[name] for name in requests},
        **{str(name): features[name] for name in features},
        PREDICTION: rows[PREDICTION],
    }


def _short(use_case: UseCase, now: pd.DataFrame) -> str | None:
    """Why rows of less than a period ask for nothing, if so: in a sentence."""
    if use_case.rhythm is None:
        return None
    moments = now[use_case.rhythm.moment].to_numpy(dtype="datetime64[s]").astype(np.int64)
    first, last = np.quantile(moments, (0.01, 0.99))
    period = use_case.rhythm.period.total_seconds()
    if last - first >= _PERIOD_SHARE * period:
        return None
    return (
        f"The rows are of {(last - first) / _DAY:.1f} days; only with {period / _DAY:g} can a change be told "
        "from the difference between days, so this asks for nothing."
    )


def _check(what: str, rows: pd.DataFrame, columns: list[str], use_case: UseCase) -> None:
    missing = [column for column in columns if column not in rows]
    if missing:
        raise DataError(
            f"{what} must have the columns {', '.join(columns)}; {', '.join(missing)} is missing."
        )
    for column in columns[len(use_case.request_columns) :]:
        wrong = int((~np.isfinite(rows[column].to_numpy(dtype=np.float64))).sum())
        if wrong:
            raise DataError(
                f"{what} must have a finite number as {column} in each row; {wrong} of {len(rows)} have "
                "none. Leave such rows out."
            )
