"""How well requests are filled, beside the rows that the model was judged by."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pandas as pd
from pandas.api.types import is_datetime64_any_dtype
from scipy.stats import hypergeom

from monitoring.check import Quality
from monitoring.shifts import ALPHA

if TYPE_CHECKING:
    from pydantic import BaseModel

FLOOR = 0.05
"""Share of the rows by which more must be missing, or out of range, to be worse: from month to month the
passengers that drivers did not enter move by up to 0.026 of green taxi trips."""

_MANY = 50
# Numbers with more values than this are judged by least and greatest, as others than those seen are ordinary.


def compare(request: type[BaseModel], before: pd.DataFrame, now: pd.DataFrame) -> list[Quality]:
    """Each column of the requests; nothing is out of range of moments, which always move on."""
    alpha = ALPHA / (2 * len(request.model_fields))
    return [
        _column(name, _is_float(field.annotation), before[name], now[name], alpha)
        for name, field in request.model_fields.items()
    ]


def _column(name: str, is_float: bool, before: pd.Series, now: pd.Series, alpha: float) -> Quality:
    missing_before, missing = int(before.isna().sum()), int(now.isna().sum())
    outside_before, outside = _outside(is_float, before.dropna(), now.dropna())
    worse = _is_more(missing, len(now), missing_before, len(before), alpha) or _is_more(
        outside, len(now), outside_before, len(before), alpha
    )
    return Quality(
        column=name,
        missing=missing / len(now),
        missing_before=missing_before / len(before),
        out_of_range=outside / len(now),
        worse=worse,
    )


def _outside(is_float: bool, before: pd.Series, now: pd.Series) -> tuple[int, int]:
    """How many rows before would lie out of the range of as many others like them, and how many do now.

    Of numbers two are expected to, the least and the greatest; of other values those that occur once, as
    Good and Turing estimate what a sample has not seen.
    """
    if is_datetime64_any_dtype(before) or not len(before):
        return 0, 0
    frequencies = before.value_counts()
    if is_float or (pd.api.types.is_numeric_dtype(before) and len(frequencies) > _MANY):
        values = pd.to_numeric(now)
        return min(2, len(before)), int(((values < before.min()) | (values > before.max())).sum())
    return int((frequencies == 1).sum()), int((~now.isin(frequencies.index)).sum())


def _is_more(now: int, rows_now: int, before: int, rows_before: int, alpha: float) -> bool:
    """Whether a share grew by more than `FLOOR` and than chance: Fisher's exact test, one-sided."""
    if now / rows_now <= before / rows_before + FLOOR:
        return False
    p = hypergeom.sf(now - 1, rows_now + rows_before, now + before, rows_now)
    return bool(p < alpha)


def _is_float(annotation: object) -> bool:
    return float in (get_args(annotation) or (annotation,))
