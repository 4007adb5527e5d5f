"""The contract at the door: a source's rows → those that the use case takes, and the others with the reason.

Nothing here knows of loads and tables: a chunk comes in, two tables go out.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from errors import DataError

if TYPE_CHECKING:
    import pandera.pandas as pandera

    from ingestion.chunks import Chunk
    from ingestion.spec import Source
    from usecases.base import UseCase

Mask = npt.NDArray[np.bool_]
_EXAMPLES = 3


class Passed(NamedTuple):
    """What became of a chunk."""

    accepted: pa.Table
    """In the use case's columns and types."""
    rejected: pa.Table
    """`origin`, `row` (JSON, as it came), `reason`."""


class Door:
    """What one load lets in; it counts what it does not."""

    def __init__(
        self,
        case: UseCase,
        source: Source,
        known: Sequence[str] | None = None,
        loaded: Callable[[str, list[Any]], set[Any]] = lambda *_: set(),
    ) -> None:
        """`known` are the columns that the source had so far; None: there was no load.

        `loaded` tells of a column that must be unique which values earlier loads have brought.
        """
        self._case, self._source = case, source
        self._schema: pandera.DataFrameSchema = case.raw_schema()
        self.schema = pa.schema(
            [(name, _type(case, name, column)) for name, column in self._schema.columns.items()]
        )
        self.columns = {name: source.columns.get(name, name) for name in self.schema.names}
        """Column of the use case → of the source."""
        if unknown := sorted(set(source.columns) - set(self.columns)):
            raise DataError(
                f"The source maps {', '.join(unknown)}, which {case.name} does not have; it has: "
                f"{', '.join(self.columns)}."
            )
        self.known = list(known) if known is not None else None
        self.new: list[str] = []
        """Columns that no load before had, and that were let pass."""
        self.reasons: Counter[str] = Counter()
        self.rows = 0
        self._loaded = loaded
        self._seen: dict[str, set[Any]] = {
            name: set() for name, column in self._schema.columns.items() if column.unique
        }

    def __call__(self, chunk: Chunk) -> Passed:
        """Judge each row.

        Raises:
            DataError: something that is to be rejected as a whole; it says what, and in which rows.
        """
        self.rows += len(chunk.rows)
        why = _Reasons(len(chunk.rows))
        self._look_at_columns(chunk, why)
        columns = [self._column(chunk, field, why) for field in self.schema]
        rows = pa.table(columns, schema=self.schema)
        self._check(chunk, rows, why)
        for name, seen in self._seen.items():
            self._look_for_known(rows[name], name, seen, why)
        reasons = why.texts()
        self.reasons.update(why.counts)
        bad = why.bad
        if reasons is None:
            return Passed(rows, _rejected([], [], []))
        kept = chunk.rows.filter(pa.array(bad)).to_pylist()
        return Passed(
            rows.filter(pa.array(~bad)),
            _rejected([chunk.origin] * len(kept), [json.dumps(row, default=str) for row in kept], reasons),
        )

    def _look_at_columns(self, chunk: Chunk, why: _Reasons) -> None:
        if self.known is None:
            self.known = list(chunk.columns)
        for name in (name for name in chunk.columns if name not in set(self.known)):
            said = f"new column {name}"
            if self._source.decisions.new == "reject":
                raise DataError(
                    f"{chunk.origin} has a {said}, which no load before had; its source says `new: reject`. "
                    "Say `new: ignore` to leave it out."
                )
            if self._source.decisions.new == "quarantine":
                why.all(said)
            elif name not in self.new:
                self.new.append(name)

    def _column(self, chunk: Chunk, field: pa.Field, why: _Reasons) -> pa.Array | pa.ChunkedArray:
        name, decisions = self.columns[field.name], self._source.decisions
        gap = self._schema.columns[field.name].nullable
        if name not in chunk.rows.column_names:
            said = f"column {name} is missing"
            if decisions.missing == "reject" or (decisions.missing == "ignore" and not gap):
                advice = (
                    "Name what the source calls it under `columns`, or decide otherwise under `decisions`."
                    if decisions.missing == "reject"
                    else f"{self._case.name} allows no gaps in {field.name}."
                )
                raise DataError(f"{chunk.origin}: {said}; it has {', '.join(chunk.columns)}. {advice}")
            if decisions.missing == "quarantine":
                why.all(said)
            return pa.nulls(len(chunk.rows), field.type)
        values, bad = typed(chunk.rows[name], field.type)
        if not bad.any():
            return values
        if decisions.retyped == "ignore" and gap:
            return values
        if decisions.retyped != "quarantine":
            advice = "" if decisions.retyped == "reject" else f" {self._case.name} allows no gaps in it."
            raise DataError(
                f"{chunk.origin}: {name} is to be {field.type}; {int(bad.sum()):,} of {len(bad):,} values "
                f"are not, such as {_examples(chunk.rows[name], bad)}.{advice}"
            )
        why.some(bad, f"{field.name}: is no {field.type}")
        return values

    def _check(self, chunk: Chunk, rows: pa.Table, why: _Reasons) -> None:
        from pandera.errors import SchemaErrors

        # What is out already needs no second reason.
        judged = np.flatnonzero(~why.bad)
        frame = (rows.take(pa.array(judged)) if why.bad.any() else rows).to_pandas(date_as_object=False)
        try:
            self._schema.validate(frame, lazy=True)
            return
        except SchemaErrors as error:
            cases = error.failure_cases
        if cases["index"].isna().any():
            whole = cases[cases["index"].isna()]
            raise DataError(
                f"{chunk.origin} cannot be brought to the contract of {self._case.name}: "
                + "; ".join(f"{row.column}: {row.check} {row.failure_case}" for row in whole.itertuples())
            )
        for (column, check), group in cases.groupby(["column", "check"], sort=True):
            said = f"{column}: expected {check}"
            if self._source.decisions.invalid == "reject":
                examples = ", ".join(str(value) for value in group["failure_case"].head(_EXAMPLES))
                raise DataError(
                    f"{chunk.origin} breaks the contract of {self._case.name}, and its source says "
                    f"`invalid: reject`: {said}, {len(group):,} times not so, such as {examples}."
                )
            bad = np.zeros(len(why.bad), dtype=bool)
            bad[judged[group["index"].astype(int)]] = True
            why.some(bad, said)

    def _look_for_known(self, column: pa.ChunkedArray, name: str, seen: set[Any], why: _Reasons) -> None:
        values = column.to_pylist()
        known = seen | self._loaded(name, values)
        bad = np.fromiter((value in known for value in values), dtype=bool, count=len(values)) & ~why.bad
        if bad.any():
            why.some(bad, f"{name}: came before, and must be unique")
        seen.update(value for value, out in zip(values, why.bad, strict=True) if not out)


class _Reasons:
    """Why rows of one chunk are out; a row may have several."""

    def __init__(self, rows: int) -> None:
        self.bad: Mask = np.zeros(rows, dtype=bool)
        self.counts: Counter[str] = Counter()
        self._said: list[tuple[Mask, str]] = []

    def all(self, reason: str) -> None:
        self.some(np.ones(len(self.bad), dtype=bool), reason)

    def some(self, bad: Mask, reason: str) -> None:
        self.bad |= bad
        self.counts[reason] += int(bad.sum())
        self._said.append((bad, reason))

    def texts(self) -> list[str] | None:
        """A text for each row that is out; None when none is."""
        if not self.bad.any():
            return None
        where = np.flatnonzero(self.bad)
        texts = [""] * len(where)
        for bad, reason in self._said:
            for at in np.flatnonzero(bad[where]):
                texts[at] += f"; {reason}" if texts[at] else reason
        return texts


REJECTED = pa.schema([("origin", pa.string()), ("row", pa.string()), ("reason", pa.string())])


def _rejected(origins: list[str], rows: list[str], reasons: list[str]) -> pa.Table:
    return pa.table([origins, rows, reasons], schema=REJECTED)


def typed(values: pa.ChunkedArray, wanted: pa.DataType) -> tuple[pa.Array | pa.ChunkedArray, Mask]:
    """The values in the type that is wanted, and which had none of it: they are null.

    Nothing is lost on the way: a fraction is no whole number, nor is what is too large for the type.
    """
    nothing = np.zeros(len(values), dtype=bool)
    if values.type == wanted:
        return values, nothing
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    try:
        return _cast(values, wanted), nothing
    except pa.ArrowException:
        pass
    # Which ones: those that come to nothing, one by one in this slow way.
    found = [_one(value, wanted) for value in values.to_pylist()]
    converted = pa.array(found, wanted)
    bad = pc.and_(pc.is_null(converted), pc.is_valid(values))
    return converted, np.asarray(bad.to_numpy(zero_copy_only=False), dtype=bool)


def _cast(values: Any, wanted: pa.DataType) -> Any:
    kind = values.type
    if pa.types.is_string(wanted) and not (
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)
    ):
        # Whatever it is can be written down; that does not make it a text.
        raise pa.ArrowInvalid("no text")
    if pa.types.is_timestamp(wanted) and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise pa.ArrowInvalid("no moment")
    if (
        pa.types.is_timestamp(wanted)
        and pa.types.is_timestamp(kind)
        and (kind.tz is None) != (wanted.tz is None)
    ):
        # Arrow takes moments without a zone for UTC; so do we, and say it in the documentation.
        values = (
            values.cast(pa.timestamp(kind.unit, "UTC"))
            if kind.tz is None
            else values.cast(pa.timestamp(kind.unit))
        )
    if pa.types.is_floating(wanted) and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        # The nearest number does: what is not exact in 64 bits is not in the use case either.
        return values.cast(wanted, safe=False)
    return values.cast(wanted)


def _one(value: Any, wanted: pa.DataType) -> Any:
    if value is None:
        return None
    try:
        return _cast(pa.array([value]), wanted)[0].as_py()
    except pa.ArrowException:
        return None


def _type(case: UseCase, name: str, column: Any) -> pa.DataType:
    if column.dtype is None:
        raise DataError(
            f"The contract of {case.name} has no type for {name}, so that nothing can be loaded into it."
        )
    kind = column.dtype.type
    if isinstance(kind, pd.DatetimeTZDtype):
        return pa.timestamp("us", str(kind.tz))
    if isinstance(kind, np.dtype) and kind.kind == "M":
        return pa.timestamp("us")  # as exact as PostgreSQL is; pandera does not mind
    if kind is str or isinstance(kind, pd.StringDtype):
        return pa.string()
    return pa.from_numpy_dtype(getattr(kind, "numpy_dtype", kind))


def _examples(values: pa.ChunkedArray, bad: Mask) -> str:
    return ", ".join(repr(value.as_py()) for value in values.filter(pa.array(bad))[:_EXAMPLES])
