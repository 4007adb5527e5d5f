"""A fitted model as a file that is data, not code: loading it runs nothing that came with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import ModelyardError

if TYPE_CHECKING:
    import pandas as pd

    from usecases.base import Array, UseCase

MODEL_FILE = "pipeline.skops"
TYPES_FILE = "types.json"
# A multiple of the rows that any BLAS kernel takes at once (OpenBLAS: 4 or 8).
ROW_GROUP = 16
# Where the types of a model may come from: libraries of the serving lock, and the code in the same Bento.
TRUSTED = ("sklearn.", "numpy.", "scipy.", "usecases.")


def save(model: Any, folder: Path) -> None:
    """Write `model` into `folder`, and beside it the types that loading it has to trust.

    Raises:
        ModelyardError: a part of it comes from elsewhere than scikit-learn, numpy, scipy and the use cases.
    """
    import skops.io

    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_bytes(skops.io.dumps(model))
    (folder / TYPES_FILE).write_text(json.dumps(trusted_types(model), indent=2))


def trusted_types(model: Any) -> list[str]:
    """The types inside `model` that loading it has to trust.

    Raises:
        ModelyardError: one comes from elsewhere than scikit-learn, numpy, scipy and the use cases.
    """
    import skops.io

    types: list[str] = skops.io.get_untrusted_types(data=skops.io.dumps(model))
    _refuse_foreign(types)
    return types


def load(folder: Path) -> Any:
    """The model that `save` wrote into `folder`.

    Raises:
        ModelyardError: the list beside it names types from elsewhere.
        skops.io.exceptions.UntrustedTypesFoundException: it holds types that the list doesn't name.
    """
    import skops.io

    types = json.loads((folder / TYPES_FILE).read_text())
    _refuse_foreign(types)
    return skops.io.load(folder / MODEL_FILE, trusted=types)


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
