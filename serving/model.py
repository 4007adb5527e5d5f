"""The scikit-learn model that a version is registered as: of what it may be built, and what it predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from errors import ModelyardError

if TYPE_CHECKING:
    import pandas as pd

    from usecases.base import Array, UseCase

# A multiple of the rows that any BLAS kernel takes at once (OpenBLAS: 4 or 8).
ROW_GROUP = 16
# Where the types of a model may come from: the libraries that models are trained with, and the use cases.
TRUSTED = ("sklearn.", "numpy.", "scipy.", "usecases.")


def trusted_types(model: Any) -> list[str]:
    """The types inside `model` that loading it has to trust.

    Raises:
        ModelyardError: one comes from elsewhere than scikit-learn, numpy, scipy and the use cases.
    """
    import skops.io

    types: list[str] = skops.io.get_untrusted_types(data=skops.io.dumps(model))
    _refuse_foreign(types)
    return types


def predict(use_case: UseCase, model: Any, rows: pd.DataFrame) -> Array:
    """Predictions over request columns that have the same bits whether a row comes alone or among others.

    Dense linear models need help with that: BLAS works on groups of rows and rounds the rows left over at
    the end differently. So the last row is repeated up to a whole number of groups.
    """
    missing = -len(rows) % ROW_GROUP
    padded = rows.take([*range(len(rows)), *[len(rows) - 1] * missing]) if missing else rows
    return use_case.predict(model, padded)[: len(rows)]


def _refuse_foreign(types: list[str]) -> None:
    foreign = [name for name in types if not name.startswith(TRUSTED)]
    if foreign:
        raise ModelyardError(
            f"A model may be built of {', '.join(prefix.rstrip('.') for prefix in TRUSTED)} only, so "
            f"that loading it runs no foreign code; this one holds {', '.join(foreign)}. Put such code into "
            "usecases/, or use another estimator."
        )
