"""What a retraining learns from and is judged by: a window of the newest data files, split in the newest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from errors import DataError

if TYPE_CHECKING:
    from upath import UPath

    from usecases.base import UseCase

JUDGED = 1 / 3
"""Share of the newest file's rows, its last days, that models are judged by and not trained on."""


def cutoff(use_case: UseCase, newest: UPath) -> str | None:
    """The first day to judge by, found in the newest data file; None where rows are not split by time.

    Days at the end are what comes closest to the days that a model will serve. A quantile, since files hold
    single rows of other years.

    Raises:
        DataError: the file cannot be read, or no row of it is fit to learn from.
    """
    if use_case.moment is None or use_case.default_cutoff is None:
        return use_case.default_cutoff
    moments = use_case.clean(use_case.read([newest])).frame[use_case.moment]
    if moments.empty:
        raise DataError(f"No row of {newest} is fit to learn from, so it cannot be said where to split.")
    split = moments.sort_values().iloc[int(len(moments) * (1 - JUDGED))]
    return split.date().isoformat()  # type: ignore[no-any-return]
