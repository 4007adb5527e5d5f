"""Columns of a table of Arrow → the arrays that the rules of a request check.

What `predict` makes of a file by pandas comes out here, too: NaN is null, whole numbers that stand as
decimals are whole where the request wants them so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from serving.columns import Array, Column

MISSING = frozenset(
    {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>"}
    | {"N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"}
)
"""Texts that stand for no value in CSV: those of pandas, which people know."""
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE)
_BOOLEANS = {"true": True, "false": False}


def arrays(rules: Sequence[Column], table: pa.Table, *, as_text: bool) -> dict[str, Array]:
    """The columns of `table` that requests have, by name."""
    names = set(table.column_names)
    return {
        rule.name: _array(rule, table[rule.name], as_text=as_text) for rule in rules if rule.name in names
    }


def _array(rule: Column, column: pa.ChunkedArray, *, as_text: bool) -> Array:
    values = column.combine_chunks()
    if isinstance(values, pa.ChunkedArray):  # of no chunk at all
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if as_text:
        values = _from_text(rule, values)
        if not isinstance(values, pa.Array):
            return values
    kind = values.type
    if pa.types.is_decimal(kind) or pa.types.is_float16(kind):
        values = values.cast(pa.float64())
    kind = values.type
    if pa.types.is_floating(kind):
        return _floats(rule, values)
    if pa.types.is_integer(kind):
        return _masked(values, values.fill_null(0).to_numpy(zero_copy_only=False))
    if pa.types.is_boolean(kind):
        return _masked(values, values.fill_null(False).to_numpy(zero_copy_only=False))
    if pa.types.is_timestamp(kind) and kind.tz is None:
        return values.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
    found = values.to_pylist()
    if pa.types.is_temporal(kind):
        found = [None if value is None else _moment(value) for value in found]
    return _objects(found)


def _floats(rule: Column, values: pa.Array) -> Array:
    numbers = values.to_numpy(zero_copy_only=False)
    missing = np.isnan(numbers)
    if rule.kind == "int":
        whole = np.where(missing, 0, numbers)
        # Exactly: from 2**53 on not every whole number is one of doubles, and those that came are.
        if ((whole == np.floor(whole)) & (np.abs(whole) < 2.0**63)).all():
            numbers = whole.astype(np.int64)
    return np.ma.array(numbers, mask=missing) if missing.any() else numbers


def _masked(values: pa.Array, numbers: Array) -> Array:
    if not values.null_count:
        return numbers
    return np.ma.array(numbers, mask=values.is_null().to_numpy(zero_copy_only=False))


def _from_text(rule: Column, texts: pa.Array) -> pa.Array | Array:
    """What the texts stand for: an array of that type, or of Python's values where one stands for none."""
    blank = pc.is_in(texts, value_set=pa.array(sorted(MISSING), pa.string()))
    texts = pc.if_else(blank, pa.scalar(None, pa.string()), texts)
    if rule.kind in ("str", "datetime"):
        return _objects(texts.to_pylist())
    for kind in {"int": (pa.int64(), pa.float64()), "float": (pa.float64(),)}.get(rule.kind, ()):
        try:
            return texts.cast(kind)
        except pa.ArrowInvalid:
            continue
    return _objects([None if text is None else _value(rule, text) for text in texts.to_pylist()])


def _value(rule: Column, text: str) -> Any:
    if rule.kind == "bool":
        return _BOOLEANS.get(text.lower(), text)
    if not _NUMBER.fullmatch(text):
        return text
    return int(text) if rule.kind == "int" and re.fullmatch(r"[+-]?\d{1,4000}", text) else float(text)


def _moment(value: Any) -> str:
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)


def _objects(values: list[Any]) -> Array:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found
