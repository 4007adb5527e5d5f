"""The reference profile: what requests looked like at training time, for monitoring to compare with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from usecases.base import Array

QUANTILES = tuple(np.linspace(0, 1, 21).round(2))
MAX_VALUES = 50


def profile(rows: pd.DataFrame, predictions: Array) -> dict[str, Any]:
    """Distribution of each column and of the predictions, as JSON values.

    Columns with at most `MAX_VALUES` distinct values are counted, the others described by their
    quantiles (datetimes as seconds since 1970, without a zone).
    """
    columns = {str(name): _column(rows[name]) for name in rows.columns}
    return {"rows": len(rows), "columns": columns, "prediction": _quantiles(predictions)}


def _column(column: pd.Series) -> dict[str, Any]:
    import pandas as pd

    missing = int(column.isna().sum())
    present = column.dropna()
    if present.nunique() <= MAX_VALUES:
        counts = {str(value): int(count) for value, count in present.value_counts().sort_index().items()}
        return {"missing": missing, "counts": counts}
    if pd.api.types.is_datetime64_any_dtype(present):
        return {
            "missing": missing,
            "quantiles": _quantiles(present.astype("datetime64[s]").astype("int64").to_numpy()),
        }
    if pd.api.types.is_numeric_dtype(present):
        return {"missing": missing, "quantiles": _quantiles(present.to_numpy(dtype=float))}
    top = present.astype(str).value_counts().head(MAX_VALUES)
    return {"missing": missing, "counts": {str(value): int(count) for value, count in top.items()}}


def _quantiles(values: Any) -> dict[str, float]:
    return dict(zip(map(str, QUANTILES), np.quantile(values, QUANTILES).tolist(), strict=True))
