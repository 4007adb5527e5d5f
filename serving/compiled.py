"""A compiled model: the features' arithmetic, learnt tables, one ONNX graph; no pandas, no scikit-learn."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from errors import ModelyardError
from usecases.arithmetic import MANY, ONE, Lookup

if TYPE_CHECKING:
    import numpy.typing as npt
    from pydantic import BaseModel

    from usecases.arithmetic import Tables
    from usecases.contract import Contract

INPUT = "X"
"""The graph's only input: doubles, shape (rows, columns)."""
GRAPH = "model.onnx"
TABLES = "tables.npz"
DESCRIPTION = "model.json"
CHUNK = 4096
"""Rows of a batch that are predicted at once: their matrix stays in the processor's cache."""

# What the parts of a lookup are called in the file of tables.
_KEYS, _VALUES = ".keys", ".values"


class Compiled:
    """A model that predicts from validated requests."""

    def __init__(
        self, contract: Contract, graph: bytes, encode: Any, tables: Tables, bounds: Sequence[float] | None
    ) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # One thread a worker: more of them only fight for the cores.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._run = session.run
        outputs = [output.name for output in session.get_outputs()]
        # A classifier's graph has the labels first, then the probabilities of both classes.
        self._outputs = outputs[-1:]
        self._encode = encode
        self._many, self._one = MANY.tables(tables), ONE.tables(tables)
        self._low, self._high = bounds or (-np.inf, np.inf)
        self._columns = contract.request_columns

    def predict(self, request: BaseModel) -> float:
        """The prediction for one valid request."""
        row = self._encode(ONE, request.__dict__, self._one)
        value = float(self._run(self._outputs, {INPUT: np.array([row], dtype=np.float64)})[0][0, -1])
        return min(max(value, self._low), self._high)

    def predict_columns(self, columns: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
        """Predictions for the rows of valid columns, one array a request field; shape (rows,)."""
        count = len(columns[self._columns[0]])
        predictions = np.empty(count)
        for start in range(0, count, CHUNK):
            part = {name: columns[name][start : start + CHUNK] for name in self._columns}
            matrix = np.column_stack(self._encode(MANY, part, self._many)).astype(np.float64, copy=False)
            predictions[start : start + CHUNK] = self._run(self._outputs, {INPUT: matrix})[0][:, -1]
        return np.clip(predictions, self._low, self._high)


def save(
    folder: Path, *, graph: bytes, encode: Any, tables: Tables, bounds: tuple[float, float] | None
) -> None:
    """Write what `load` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / GRAPH).write_bytes(graph)
    arrays: dict[str, Any] = {}
    for name, table in tables.items():
        if isinstance(table, Lookup):
            arrays |= {name + _KEYS: table.keys, name + _VALUES: table.values}
        else:
            arrays[name] = table
    np.savez_compressed(folder / TABLES, allow_pickle=False, **arrays)
    description = {"encode": f"{encode.__module__}:{encode.__qualname__}", "bounds": bounds}
    (folder / DESCRIPTION).write_text(json.dumps(description))


def load(folder: Path, contract: Contract) -> Compiled:
    """The compiled model that `save` wrote into `folder`; nothing in there is code.

    Raises:
        ModelyardError: it wants to be encoded by something else than code of the use cases.
    """
    description = json.loads((folder / DESCRIPTION).read_text())
    module, _, name = description["encode"].partition(":")
    if not module.startswith("usecases."):
        raise ModelyardError(f"A model is encoded by a function of the use cases, not by {module}.")
    return Compiled(
        contract,
        (folder / GRAPH).read_bytes(),
        getattr(importlib.import_module(module), name),
        _tables(folder / TABLES),
        description["bounds"],
    )


def _tables(path: Path) -> Tables:
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    lookups = [name.removesuffix(_KEYS) for name in arrays if name.endswith(_KEYS)]
    tables: dict[str, Any] = {
        name: Lookup(arrays.pop(name + _KEYS), arrays.pop(name + _VALUES)) for name in lookups
    }
    return tables | arrays
