"""A forest of packed trees, which the library of kernel.c predicts by.

kernel.c says what the arrays mean. It trusts them, so whatever could lead it astray is refused here.
"""

from __future__ import annotations

import ctypes
import math
import platform
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from errors import ModelyardError, ReleaseError
from serving.trees import build

LEAF = 0xFFFF
"""The code of a leaf: no row's is above it."""
MAX_FEATURES = 1 << 15
"""Each has two of the columns that 16 bits can name."""
MAX_THRESHOLDS = 0xFFFF
"""Of one feature, so that the codes of values reach up to a leaf's."""
NODE = np.dtype([("column", "<u2"), ("code", "<u2"), ("child", "<u4")])
_ARRAYS = {
    "starts": np.int64,
    "thresholds": np.float64,
    "roots": np.uint32,
    "nodes": NODE,
    "values": np.float64,
}


def _sigmoid(raw: float) -> float:
    if raw >= 0:
        return 1 / (1 + math.exp(-raw))
    e = math.exp(raw)
    return e / (1 + e)


def _exp(raw: float) -> float:
    try:
        return math.exp(raw)
    except OverflowError:
        return math.inf


LINKS: Mapping[str, Callable[[float], float] | None] = {"identity": None, "exp": _exp, "sigmoid": _sigmoid}
"""What turns a sum of leaves into the prediction. One number at a time, so that a row has the same bits alone
and in a batch: numpy's functions over arrays may differ in the last."""


class _Pointers(ctypes.Structure):
    """`Forest` of kernel.c."""

    _fields_ = (
        ("features", ctypes.c_int64),
        ("trees", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in _ARRAYS),
        ("base", ctypes.c_double),
    )


class Forest:
    """Predictions from packed trees; threads may share it."""

    def __init__(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Raises ModelyardError where `arrays` are not what `pack` makes, or this platform has no library."""
        self.features, kept = _checked(arrays)
        pointers = {name: array.ctypes.data for name, array in kept.items()}
        forest = _Pointers(self.features, len(kept["roots"]), *pointers.values(), float(arrays["base"]))
        self._link = LINKS[str(arrays["link"])]
        self._kept = kept, forest  # the kernel has only addresses
        self._forest = ctypes.byref(forest)
        self._doubles = struct.Struct(f"{self.features}d").pack
        library = _library()
        self._one, self._many = library.one, library.many
        self._one.restype, self._many.restype = ctypes.c_double, None

    def one(self, row: Sequence[float]) -> float:
        """The prediction for the features of one row."""
        try:
            doubles = self._doubles(*row)
        except struct.error as error:
            raise ModelyardError(f"The trees take rows of {self.features} numbers, not {row}.") from error
        # Bytes and prepared pointers are what ctypes hands over without ado.
        raw: float = self._one(self._forest, doubles)
        return self._link(raw) if self._link else raw

    def many(self, matrix: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """The predictions for the rows of a matrix of features, the same to the last bit as each by `one`."""
        if matrix.ndim != 2 or matrix.shape[1] != self.features:
            raise ModelyardError(
                f"The trees take a matrix of {self.features} columns, not one of the shape {matrix.shape}."
            )
        rows = np.ascontiguousarray(matrix, dtype=np.float64)
        sums = np.empty(len(rows))
        address = ctypes.c_void_p
        self._many(
            self._forest, address(rows.ctypes.data), ctypes.c_int64(len(rows)), address(sums.ctypes.data)
        )
        return np.array([*map(self._link, sums.tolist())], dtype=np.float64) if self._link else sums


def libraries() -> list[Path]:
    """The kernel for every platform: what is packaged here may be served on another.

    Raises:
        ReleaseError: some are missing.
    """
    paths = [build.library(name) for name in build.TARGETS]
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise ReleaseError(
            "Bentos and pods take along a library that predicts trees for each platform, and there is no "
            f"{', no '.join(missing)}. Compile them: make libraries"
        )
    return paths


def _library() -> ctypes.CDLL:
    """The kernel for this platform; while it works, other threads of Python do.

    Raises:
        ModelyardError: there is none.
    """
    here = f"{platform.system()}-{platform.machine()}".lower()
    path = build.library(here)
    if not path.exists():
        there = ", ".join(sorted(file.stem for file in build.FOLDER.glob("*.so"))) or "none"
        raise ModelyardError(
            f"Trees are predicted by a library for {here}, and there is no {path}; there are libraries for: "
            f"{there}. In a clone, make libraries compiles those for {', '.join(build.TARGETS)}; package the "
            "model anew then."
        )
    return ctypes.CDLL(str(path))


def _checked(arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[int, dict[str, npt.NDArray[Any]]]:
    """The number of features, and the arrays as the kernel wants them."""

    def demand(holds: Any, what: str) -> None:
        if not holds:
            raise ModelyardError(f"The model's file of trees is damaged: {what}. Package the model anew.")

    missing = {*_ARRAYS, "base", "link"} - arrays.keys()
    demand(not missing, f"it lacks {', '.join(sorted(missing))}")
    for name, kind in _ARRAYS.items():
        dtype, dimensions = arrays[name].dtype, arrays[name].ndim
        demand(dtype == kind and dimensions == 1, f"{name} are {dtype} in {dimensions} dimensions")
    demand(arrays["base"].dtype == np.float64 and arrays["base"].ndim == 0, "base is not one double")
    demand(str(arrays["link"]) in LINKS, f"its link is {arrays['link']}, none of {', '.join(LINKS)}")
    kept = {name: np.ascontiguousarray(arrays[name]) for name in _ARRAYS}
    starts, roots, nodes = kept["starts"], kept["roots"].astype(np.int64), kept["nodes"]
    features = len(starts) - 1
    demand(0 < features <= MAX_FEATURES, f"it has {features:,} features")
    ends = starts[0] == 0 and starts[-1] == len(kept["thresholds"])
    sizes = np.diff(starts)
    demand(ends and sizes.min() >= 0 and sizes.max() <= MAX_THRESHOLDS, "its features share thresholds")
    demand(len(nodes) == len(kept["values"]), f"{len(nodes):,} nodes have {len(kept['values']):,} values")
    demand(len(roots) and roots[0] == 0 and roots[-1] < len(nodes), "its trees don't begin where nodes do")
    sizes = np.diff(roots, append=len(nodes))
    demand(sizes.min() > 0, "its trees overlap")
    place, child = np.arange(len(nodes)), nodes["child"].astype(np.int64)
    leaf = child == place
    demand((nodes["code"][leaf] == LEAF).all(), "a row could leave a leaf")
    behind = np.repeat(roots + sizes, sizes)
    demand((leaf | (child > place) & (child + 1 < behind)).all(), "a node leads out of its tree or back")
    demand((nodes["column"] < 2 * features).all(), "a node asks for a feature that there is not")
    return features, kept
