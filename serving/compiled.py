"""A compiled model: the features' arithmetic, learnt tables, trees or a graph; no pandas, no scikit-learn."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from errors import ModelyardError
from usecases.arithmetic import MANY, ONE, Lookup

if TYPE_CHECKING:
    import numpy.typing as npt
    from pydantic import BaseModel

    from usecases.arithmetic import Tables
    from usecases.contract import Contract

GRAPH = "model.onnx"
TREES = "trees.npz"
"""The estimator is in one of these."""
TABLES = "tables.npz"
DESCRIPTION = "model.json"
CHUNK = 4096
"""Rows of a batch that are predicted at once: their matrix stays in the processor's cache."""

# What the parts of a lookup are called in the file of tables.
_KEYS, _VALUES = ".keys", ".values"


class Estimator(Protocol):
    """What predicts from features: a `Forest` or a `Graph`."""

    def one(self, row: Sequence[float]) -> float: ...
    def many(self, matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]: ...


class Compiled:
    """A model that predicts from validated requests."""

    def __init__(
        self,
        contract: Contract,
        estimator: Estimator,
        encode: Any,
        tables: Tables,
        bounds: Sequence[float] | None,
    ) -> None:
        self._estimate, self._estimate_many = estimator.one, estimator.many
        self._encode = encode
        self._many, self._one = MANY.tables(tables), ONE.tables(tables)
        self._low, self._high = bounds or (-np.inf, np.inf)
        self._columns = contract.request_columns

    def predict(self, request: BaseModel) -> float:
        """The prediction for one valid request."""
        value = self._estimate(self._encode(ONE, request.__dict__, self._one))
        return min(max(value, self._low), self._high)

    def predict_columns(self, columns: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
        """Predictions for the rows of valid columns, one array a request field; shape (rows,)."""
        count = len(columns[self._columns[0]])
        predictions = np.empty(count)
        for start in range(0, count, CHUNK):
            part = {name: columns[name][start : start + CHUNK] for name in self._columns}
            matrix = np.column_stack(self._encode(MANY, part, self._many)).astype(np.float64, copy=False)
            predictions[start : start + CHUNK] = self._estimate_many(matrix)
        return np.clip(predictions, self._low, self._high)


def save(
    folder: Path,
    *,
    estimator: bytes | Mapping[str, npt.NDArray[Any]],
    encode: Any,
    tables: Tables,
    bounds: tuple[float, float] | None,
) -> None:
    """Write what `load` reads; the estimator as a graph's bytes or a forest's arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(estimator, bytes):
        (folder / GRAPH).write_bytes(estimator)
    else:
        np.savez_compressed(folder / TREES, allow_pickle=False, **cast(Any, estimator))
    arrays: dict[str, Any] = {}
    for name, table in tables.items():
        if isinstance(table, Lookup):
            arrays |= {name + _KEYS: table.keys, name + _VALUES: table.values}
        else:
            arrays[name] = table
    np.savez_compressed(folder / TABLES, allow_pickle=False, **arrays)
    description = {
        "estimator": GRAPH if isinstance(estimator, bytes) else TREES,
        "encode": f"{encode.__module__}:{encode.__qualname__}",
        "bounds": bounds,
    }
    (folder / DESCRIPTION).write_text(json.dumps(description))


def load(folder: Path, contract: Contract) -> Compiled:
    """The compiled model that `save` wrote into `folder`; nothing in there is code.

    Raises:
        ModelyardError: it wants to be encoded by something else than code of the use cases; its trees are
            damaged, or there is no library for them.
    """
    description = json.loads((folder / DESCRIPTION).read_text())
    module, _, name = description["encode"].partition(":")
    if not module.startswith("usecases."):
        raise ModelyardError(f"A model is encoded by a function of the use cases, not by {module}.")
    return Compiled(
        contract,
        _estimator(folder, description["estimator"]),
        getattr(importlib.import_module(module), name),
        _tables(folder / TABLES),
        description["bounds"],
    )


def _estimator(folder: Path, file: str) -> Estimator:
    # Only what it takes is imported: onnxruntime takes longer, and more memory, than a forest.
    if file == TREES:
        from serving.trees.forest import Forest

        return Forest(_arrays(folder / TREES))
    from serving.graph import Graph

    return Graph((folder / GRAPH).read_bytes())


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _tables(path: Path) -> Tables:
    arrays = _arrays(path)
    lookups = [name.removesuffix(_KEYS) for name in arrays if name.endswith(_KEYS)]
    tables: dict[str, Any] = {
        name: Lookup(arrays.pop(name + _KEYS), arrays.pop(name + _VALUES)) for name in lookups
    }
    return tables | arrays
