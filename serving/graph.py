"""An estimator as an ONNX graph in doubles, which onnxruntime runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

INPUT = "X"
"""The graph's only input: doubles, shape (rows, columns)."""


class Graph:
    """Predictions from the bytes of a graph."""

    def __init__(self, graph: bytes) -> None:
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

    def one(self, row: Sequence[float]) -> float:
        """The prediction for the features of one row."""
        return float(self.many(np.array([row], dtype=np.float64))[0])

    def many(self, matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The predictions for the rows of a matrix of features."""
        predictions: npt.NDArray[np.float64] = self._run(self._outputs, {INPUT: matrix})[0][:, -1]
        return predictions
