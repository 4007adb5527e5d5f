"""Many requests as columns: checked by the request model's own rules, a column at a time."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ValidationError
from pydantic_core import CoreConfig, SchemaValidator, core_schema, to_json

from errors import DataError, UsageError
from serving.contract import MAX_ERRORS, FieldError
from serving.contract import _shown as shown

Array = np.ndarray[Any, np.dtype[Any]]
Kind = Literal["int", "float", "bool", "str", "datetime"]

_BOUNDS = {"ge": operator.lt, "gt": operator.le, "le": operator.gt, "lt": operator.ge}
"""What breaks each bound."""
_TAKEN: Mapping[Kind, str] = {"int": "iu", "float": "iuf", "bool": "b", "str": "", "datetime": "M"}
"""Kinds of numpy types whose values need no look one by one."""
_WANTED: Mapping[Kind, str] = {
    "int": "whole numbers",
    "float": "numbers",
    "bool": "true and false",
    "str": "texts",
    "datetime": "moments without a time zone",
}
_HELD: Mapping[Kind, str] = {
    "int": "a whole number that 64 bits hold",
    "datetime": "a moment in the years 1 to 9999",
}
"""What Python holds more of than an array."""
_INT64 = range(-(2**63), 2**63)
_SLICE = 10_000
"""Values that are looked at one by one before the next are: a bad column is given up early."""


@dataclass(frozen=True)
class Column:
    """What the values of one field must be."""

    name: str
    kind: Kind
    required: bool
    nullable: bool
    default: Any
    bounds: Mapping[str, Any]
    finite: bool
    plain: bool
    """Whether kind, null and bounds are all there is to check."""
    validator: SchemaValidator
    """Checks a list of values exactly as the request model does, in its words."""

    @property
    def dtype(self) -> str:
        """The numpy type that this column has once checked."""
        if self.nullable and self.kind in ("int", "float"):
            return "float64"
        if self.nullable and self.kind == "bool":
            return "object"
        return {"int": "int64", "float": "float64", "bool": "bool", "str": "object"}.get(self.kind, "M8[us]")


class InvalidColumns(DataError):
    """Columns that the request model would refuse; `errors` says which values, and why."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = list(errors)[:MAX_ERRORS]
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in self.errors[:3]))


def rules(request: type[BaseModel]) -> tuple[Column, ...]:
    """The rule of each field of a request model, in the fields' order.

    Raises:
        UsageError: the model checks whole requests by code of its own, or has a field of another type than
            int, float, bool, str, Literal or NaiveDatetime, or one of these or None.
    """
    schema: Any = request.__pydantic_core_schema__
    if schema["type"] != "model" or schema["schema"]["type"] != "model-fields":
        raise UsageError(
            f"{request.__name__} cannot be checked as columns: it must be a flat pydantic model without "
            f"validators over several fields, and is of the kind {schema['type']}."
        )
    config = schema.get("config", {})
    return tuple(
        _rule(request, name, field["schema"], config) for name, field in schema["schema"]["fields"].items()
    )


def check(columns_rules: Sequence[Column], columns: Mapping[str, Array]) -> dict[str, Array]:
    """Columns as they came → as predictors take them, when the request model would accept each row.

    A masked value of a masked array is null, so are None and NaT, and NaN in an array of floats whose field
    may be null. Numbers of any width and moments of any unit are taken; parts of a microsecond are cut off.

    Raises:
        InvalidColumns: a value is refused, or a column is unknown, missing, or of another length.
    """
    names = {rule.name for rule in columns_rules}
    errors = [
        FieldError(field=shown(name), message="Extra inputs are not permitted")
        for name in columns
        if name not in names
    ]
    errors += [
        FieldError(field=rule.name, message="Field required")
        for rule in columns_rules
        if rule.required and rule.name not in columns
    ]
    lengths = {name: array.shape for name, array in columns.items()}
    first, rows = next(iter(lengths.items()), ("", (0,)))
    errors += [
        FieldError(field=name, message=f"The column has the shape {shape}, {first} has {rows}")
        for name, shape in lengths.items()
        if shape != rows or len(shape) != 1
    ]
    if not errors and rows == (0,):
        errors = [FieldError(field=first or "rows", message="At least one row is needed")]
    if errors:
        raise InvalidColumns(errors)
    checked = {}
    for rule in columns_rules:
        if rule.name in columns:
            checked[rule.name], bad = _column(rule, columns[rule.name])
            errors += islice(bad, MAX_ERRORS - len(errors))
        else:
            checked[rule.name] = np.full(rows, _filler(rule), dtype=rule.dtype)
    if errors:
        raise InvalidColumns(errors)
    return checked


def from_requests(columns_rules: Sequence[Column], requests: Sequence[BaseModel]) -> dict[str, Array]:
    """Valid requests → the columns that predictors take."""
    return {
        rule.name: _array(rule, list(map(operator.attrgetter(rule.name), requests))) for rule in columns_rules
    }


def _rule(request: type[BaseModel], name: str, schema: Any, config: Any) -> Column:
    field = request.model_fields[name]
    plain, nullable = True, False
    if schema["type"] == "default":
        schema = schema["schema"]
    inner = schema
    while inner["type"] == "nullable" or inner["type"].startswith("function-"):
        nullable = nullable or inner["type"] == "nullable"
        plain = plain and inner["type"] == "nullable"
        inner = inner.get("schema", {"type": "function"})
    kind = inner["type"]
    if kind == "literal":
        kinds = {type(value).__name__ for value in inner["expected"]}
        kind, plain = (kinds.pop() if len(kinds) == 1 else "literal of several types"), False
    if kind not in _TAKEN or (kind == "datetime" and inner.get("tz_constraint") != "naive"):
        raise UsageError(
            f"{request.__name__}.{name} cannot be checked as a column: it must be int, float, bool, str, "
            f"a Literal of one of these, or NaiveDatetime, and is {field.annotation}."
        )
    known = {*_BOUNDS, "type", "metadata", "strict", "tz_constraint", "microseconds_precision"}
    return Column(
        name=name,
        kind=kind,
        required=field.is_required(),
        nullable=nullable,
        default=None if field.is_required() else field.get_default(call_default_factory=True),
        bounds={bound: inner[bound] for bound in _BOUNDS if bound in inner},
        finite=not config.get("allow_inf_nan", True),
        plain=plain and set(inner) <= known and inner.get("microseconds_precision") != "error",
        validator=SchemaValidator(
            core_schema.list_schema(schema),
            CoreConfig(strict=config.get("strict", False), allow_inf_nan=config.get("allow_inf_nan", True)),
        ),
    )


def _column(rule: Column, array: Array) -> tuple[Array, Iterator[FieldError]]:
    """The column as predictors take it, and what is wrong with it."""
    if array.dtype.kind == "f" and rule.nullable:
        array = np.ma.array(array, mask=np.ma.getmask(array) | np.isnan(np.ma.getdata(array)))
    if array.dtype.kind in "OUT" or not rule.plain:
        return _one_by_one(rule, array)
    if array.dtype.kind not in _TAKEN[rule.kind]:
        message = f"Input should be a column of {_WANTED[rule.kind]}"
        return array, iter([FieldError(field=rule.name, message=message, value=f"a column of {array.dtype}")])
    values, null = np.ma.getdata(array), np.ma.getmask(array)
    if rule.kind == "datetime":
        values, odd = _microseconds(values)
        null = null | (np.isnat(values) & ~odd)
    elif rule.kind == "float":
        # Before bounds are compared: numpy would round them to the width that came.
        values = values.astype("float64", copy=False)
    if not null.any():
        null = np.ma.nomask
    present = values if null is np.ma.nomask else values[~null]
    bad = np.flatnonzero(null) if null is not np.ma.nomask and not rule.nullable else np.array([], dtype=int)
    if present.size and not _fine(rule, present):
        wrong = _wrong(rule, values)
        bad = np.union1d(bad, np.flatnonzero(wrong if null is np.ma.nomask else wrong & ~null))
    if bad.size:
        bad = bad[:MAX_ERRORS]
        shown_values = np.ma.array(values, mask=null)[bad].tolist()
        return values, _explained(rule, zip(bad.tolist(), shown_values, strict=True))
    if null is np.ma.nomask:
        return values.astype(rule.dtype, copy=False), iter(())
    result = values.astype(rule.dtype)
    result[null] = _filler(rule, missing=True)
    return result, iter(())


def _fine(rule: Column, values: Array) -> bool:
    """Whether all values keep the bounds; by the least and the greatest, which is fast."""
    if rule.kind == "bool":
        return True
    least, greatest = values.min(), values.max()
    if rule.kind == "datetime":
        least, greatest = least.item(), greatest.item()
        if not isinstance(least, datetime) or not isinstance(greatest, datetime):
            return False
    elif rule.kind == "int":
        if int(greatest) not in _INT64:
            return False
    elif rule.finite and not (np.isfinite(least) and np.isfinite(greatest)):
        return False
    return not any(
        _BOUNDS[bound](least, limit) or _BOUNDS[bound](greatest, limit)
        for bound, limit in rule.bounds.items()
    )


def _wrong(rule: Column, values: Array) -> Array:
    """Where values break a rule, nulls aside."""
    wrong = np.zeros(values.shape, dtype=bool)
    if rule.kind == "datetime":
        wrong |= np.isnat(values)
    elif rule.kind == "int":
        if values.dtype.kind == "u":
            wrong |= values > np.uint64(_INT64[-1])
    elif rule.kind == "float" and rule.finite:
        wrong |= ~np.isfinite(values)
    for bound, limit in rule.bounds.items():
        wrong |= _BOUNDS[bound](values, np.datetime64(limit, "us") if rule.kind == "datetime" else limit)
    return wrong


def _microseconds(values: Array) -> tuple[Array, Array]:
    """Moments in microseconds, and which are outside the years 1 to 9999 (NaT, then)."""
    unit: Any = np.datetime_data(values.dtype)[0]
    odd = np.zeros(values.shape, dtype=bool)
    if unit not in ("ns", "ps", "fs", "as"):
        first, last = np.datetime64("0001-01-01", unit), np.datetime64("9999-12-31T23:59:59.999999", unit)
        odd = ((values < first) | (values > last)) & ~np.isnat(values)
    if odd.any():
        values = np.where(odd, np.datetime64("NaT", unit), values)
    return values.astype("M8[us]", copy=False), odd


def _one_by_one(rule: Column, array: Array) -> tuple[Array, Iterator[FieldError]]:
    """The column of values of any type, by the model's own validator."""
    values = array.tolist()
    if array.dtype.kind == "M":
        moments, odd = _microseconds(np.ma.getdata(array))
        values = np.ma.array(moments, mask=np.ma.getmask(array)).tolist()
        for row in np.flatnonzero(odd).tolist():
            values[row] = str(array[row])
    taken: list[Any] = []
    errors: list[FieldError] = []
    for start in range(0, len(values), _SLICE):
        part = values[start : start + _SLICE]
        try:
            good = _validated(rule, part)
        except ValidationError as error:
            errors += _in_words(rule, error, range(start, start + len(part)))
        else:
            taken += good
            if rule.kind == "int":
                errors += _explained(
                    rule,
                    (
                        (row, value)
                        for row, value in enumerate(good, start)
                        if value is not None and value not in _INT64
                    ),
                )
        if len(errors) >= MAX_ERRORS:
            break
    return (array if errors else _array(rule, taken)), iter(errors)


def _validated(rule: Column, values: list[Any]) -> list[Any]:
    if rule.kind == "datetime":
        # Only as JSON does a strict model take moments as text.
        body = to_json(values, inf_nan_mode="constants", fallback=lambda _: {})
        return list(rule.validator.validate_json(body))
    return list(rule.validator.validate_python(values))


def _explained(rule: Column, rows: Iterable[tuple[int, Any]]) -> Iterator[FieldError]:
    """Why the model refuses these values, in its words."""
    numbers, values = [], []
    for row, value in islice(rows, MAX_ERRORS):
        numbers.append(row)
        values.append(value)
    try:
        _validated(rule, values)
    except ValidationError as error:
        yield from _in_words(rule, error, numbers)
    else:
        for row, value in zip(numbers, values, strict=True):
            message = f"Input should be {_HELD[rule.kind]}"
            yield FieldError(field=f"rows.{row}.{rule.name}", message=message, value=shown(value))


def _in_words(rule: Column, error: ValidationError, rows: Sequence[int]) -> Iterator[FieldError]:
    for problem in error.errors(include_url=False, include_context=False)[:MAX_ERRORS]:
        yield FieldError(
            field=f"rows.{rows[int(problem['loc'][0])]}.{rule.name}",
            message=problem["msg"],
            value=shown(problem["input"]),
        )


def _array(rule: Column, values: list[Any]) -> Array:
    """Valid values → the column that predictors take."""
    if rule.dtype == "object":
        result = np.empty(len(values), dtype=object)
        result[:] = values
        return result
    return np.array(values, dtype=rule.dtype)


def _filler(rule: Column, *, missing: bool = False) -> Any:
    """What stands for null, or for a column that was left out, in an array."""
    value = None if missing else rule.default
    if value is None and rule.dtype == "float64":
        return np.nan
    return np.datetime64("NaT") if value is None and rule.kind == "datetime" else value
