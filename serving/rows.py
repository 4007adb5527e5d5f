"""Rows of a table as requests: what a person's file or the validation rows look like to an endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from usecases.contract import Contract


def requests(contract: Contract, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Request columns of `rows` as JSON values, a dict for each row; missing values become null.

    Other columns are left out. A column of whole numbers that was read as decimals, because values are
    missing in it, becomes whole again where the request wants it so.

    Raises:
        DataError: `rows` lacks a column that a request must have.
    """
    fields = contract.request.model_fields
    missing = [name for name, field in fields.items() if field.is_required() and name not in rows.columns]
    if missing:
        raise DataError(
            f"The rows lack {', '.join(missing)}, which a request to {contract.name} must have; "
            f"their columns are: {', '.join(map(str, rows.columns))}."
        )
    properties = contract.request.model_json_schema()["properties"]
    columns = {
        name: _values(rows[name], whole=_is_whole(properties[name]))
        for name in fields
        if name in rows.columns
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _values(column: pd.Series, *, whole: bool) -> list[Any]:
    import pandas as pd

    missing = column.isna()
    if pd.api.types.is_datetime64_any_dtype(column):
        values: list[Any] = [value.isoformat() for value in column]
    else:
        values = column.tolist()
    if whole:
        values = [
            int(value) if isinstance(value, float) and value.is_integer() else value for value in values
        ]
    return [None if gone else value for value, gone in zip(values, missing, strict=True)]


def _is_whole(schema: dict[str, Any]) -> bool:
    kinds = [schema, *schema.get("anyOf", [])]
    return any(kind.get("type") == "integer" for kind in kinds)
