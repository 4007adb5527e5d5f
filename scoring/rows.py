"""Rows of a table → predictions, by the endpoint's own model and rules; and why a row gets none."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from errors import DataError, UsageError
from scoring.values import arrays
from serving import columns
from serving.client import words
from serving.columns import InvalidColumns
from serving.compiled import CHUNK as SLICE
from serving.contract import field_errors

if TYPE_CHECKING:
    from serving.columns import Array, Column
    from serving.endpoint import Endpoint

VERSION, RUN, REFUSED = "model_version", "zenml_run", "refused"
_FEW = 64
"""Rows among which one is bad are looked at one by one; more of them are halved first."""


class Scored(NamedTuple):
    """The rows of one table, in its order."""

    answered: pa.Table
    """The columns to keep, the answer's fields, `model_version` and `zenml_run`."""
    refused: pa.Table
    """All columns of those that are no valid requests, and `refused` with the reason."""


class Scorer:
    """One model version, and what is to be kept of the rows that it answers."""

    def __init__(self, endpoint: Endpoint, run: str, keep: Sequence[str] | None = None) -> None:
        self._endpoint, self._run, self._keep = endpoint, run, keep
        request = endpoint.validate(json.dumps(dict(endpoint.contract.example)).encode())
        self._answer = columns.rules(type(endpoint.contract.respond(endpoint.predict(request))))

    def check(self, names: Sequence[str]) -> None:
        """Make sure that rows with columns of these names can be scored and written.

        Raises:
            DataError: they lack a column that requests must have.
            UsageError: a column that is to be kept is not there, or is called what an answer's is.
        """
        lacking = [rule.name for rule in self._endpoint.rules if rule.required and rule.name not in names]
        if lacking:
            raise DataError(
                f"The rows lack {', '.join(lacking)}, which a request to {self._endpoint.contract.name} must "
                f"have; their columns are: {', '.join(names)}."
            )
        keep = names if self._keep is None else self._keep
        if unknown := [name for name in keep if name not in names]:
            raise UsageError(f"--keep names {', '.join(unknown)}, and the columns are: {', '.join(names)}.")
        ours = {*(rule.name for rule in self._answer), VERSION, RUN}
        clash = sorted(ours & set(keep)) or sorted({REFUSED} & set(names))
        if clash:
            raise UsageError(
                f"The input has {', '.join(clash)}, which is what a column of the result is called. "
                "Rename it, or name the columns to keep without it: --keep A,B."
            )

    def score(self, table: pa.Table, *, as_text: bool = False) -> Scored:
        """Answer the rows of a table; `as_text`: its columns are texts that stand for values, as in CSV."""
        rules = self._endpoint.rules
        found = arrays(rules, table, as_text=as_text)
        reasons: dict[int, str] = {}
        pieces = list(self._sift(found, 0, len(table), reasons)) if len(table) else []
        answered = np.ones(len(table), dtype=bool)
        answered[list(reasons)] = False
        kept = table if self._keep is None else table.select(self._keep)
        refused = table.filter(pa.array(~answered)).append_column(
            REFUSED, pa.array([reasons[row] for row in sorted(reasons)], pa.string())
        )
        return Scored(self._answered(kept.filter(pa.array(answered)), pieces), refused)

    def _answered(self, kept: pa.Table, pieces: Sequence[Mapping[str, Array]]) -> pa.Table:
        predictions: list[float] = []
        if pieces:
            together = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
            predictions = self._predict(together)
        responses = [self._endpoint.contract.respond(value) for value in predictions]
        for name, values in columns.from_requests(self._answer, responses).items():
            kept = kept.append_column(name, pa.array(values, _type(self._answer, name), from_pandas=True))
        count = len(predictions)
        kept = kept.append_column(VERSION, pa.array(np.full(count, self._endpoint.version, dtype=np.int32)))
        return kept.append_column(RUN, pa.array([self._run] * count, pa.string()))

    def _predict(self, found: Mapping[str, Array]) -> list[float]:
        """On every core: a model runs on one, without Python's lock."""
        count = len(next(iter(found.values())))
        parts = [
            {name: array[start : start + SLICE] for name, array in found.items()}
            for start in range(0, count, SLICE)
        ]
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            predictions: list[float] = np.concatenate(
                list(pool.map(self._endpoint.predict_columns, parts))
            ).tolist()
        return predictions

    def _sift(
        self, found: Mapping[str, Array], start: int, end: int, reasons: dict[int, str]
    ) -> Iterator[dict[str, Array]]:
        """The valid rows from `start` up to `end` as checked columns, piece by piece; why others are none.

        As columns rows are checked fast, and the request model itself has the last word on those that fail.
        """
        rules = self._endpoint.rules
        try:
            yield columns.check(rules, {name: array[start:end] for name, array in found.items()})
        except InvalidColumns:
            if end - start > _FEW:
                middle = (start + end) // 2
                yield from self._sift(found, start, middle, reasons)
                yield from self._sift(found, middle, end, reasons)
                return
            valid = []
            for row, values in enumerate(_as_json(rules, found, start, end), start):
                try:
                    valid.append(self._endpoint.validate(values))
                except ValidationError as error:
                    problems = [each.model_dump(exclude_none=True) for each in field_errors(error)]
                    reasons[row] = "; ".join(words(problem) for problem in problems)
            if valid:
                yield columns.from_requests(rules, valid)


def _as_json(rules: Sequence[Column], found: Mapping[str, Array], start: int, end: int) -> Iterator[bytes]:
    """Rows as the JSON of a request each, as `serving.rows` makes it."""
    parts: dict[str, list[Any]] = {}
    for rule in rules:
        if rule.name not in found:
            continue
        array = found[rule.name][start:end]
        values = array.tolist()
        if array.dtype.kind == "M":
            texts = np.datetime_as_string(array).tolist()
            values = [None if text == "NaT" else text for text in texts]
        elif rule.kind == "int" and array.dtype.kind in "fO":
            values = [
                int(value) if isinstance(value, float) and value.is_integer() else value for value in values
            ]
        parts[rule.name] = values
    for row in zip(*parts.values(), strict=True):
        yield json.dumps(dict(zip(parts, row, strict=True)), default=str).encode()


def _type(rules: Sequence[Column], name: str) -> pa.DataType:
    kinds = {"int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), "str": pa.string()}
    (kind,) = (rule.kind for rule in rules if rule.name == name)
    return kinds.get(kind, pa.timestamp("us"))
