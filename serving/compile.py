"""A fitted scikit-learn estimator → what endpoints run, and the proof that both predict the same.

Gradient-boosted trees become a forest of ours; everything else an ONNX graph in doubles, by skl2onnx.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from errors import ReleaseError
from serving import compiled
from serving.compiled import Compiled
from serving.graph import INPUT
from serving.trees.pack import members, pack
from usecases.base import Parts, columns

if TYPE_CHECKING:
    import onnx
    import pandas as pd

    from usecases.base import UseCase

_OPSETS = {"": 17, "ai.onnx.ml": 3}
"""What skl2onnx is asked for: the newest that it knows for all of its operators."""


def compile_model(use_case: UseCase, fitted: Any, candidate: str, folder: Path) -> Compiled:
    """Write the compiled form of `fitted`, a pipeline that training made of a candidate, into `folder`.

    Raises:
        ReleaseError: a part of the estimator cannot be compiled.
    """
    parts = take_apart(use_case, fitted, candidate)
    boosted = members(parts.estimator)
    compiled.save(
        folder,
        estimator=pack(boosted) if boosted else _graph(parts.estimator).SerializeToString(),
        encode=parts.encode,
        tables=parts.tables,
        bounds=parts.bounds,
    )
    return compiled.load(folder, use_case.contract)


def take_apart(use_case: UseCase, fitted: Any, candidate: str) -> Parts:
    """What encodes a request for `fitted`, and the estimator behind it."""
    from sklearn.pipeline import Pipeline

    own = use_case.candidate(candidate).parts
    parts = own(fitted[-1]) if own else Parts(use_case.encode, {}, fitted[-1])
    while isinstance(parts.estimator, Pipeline) and len(parts.estimator.steps) == 1:
        parts = replace(parts, estimator=parts.estimator[0])
    return parts


def check_parity(use_case: UseCase, fast: Compiled, fitted: Any, rows: pd.DataFrame) -> float:
    """The largest difference between the compiled model's and the estimator's predictions over `rows`.

    Raises:
        ReleaseError: it is above the use case's bound.
    """
    difference = np.abs(
        fast.predict_columns(columns(rows[use_case.request_columns])) - use_case.predict(fitted, rows)
    )
    largest = float(difference.max())
    # Written so that NaN is refused, too.
    if not largest <= use_case.parity:
        raise ReleaseError(
            f"The compiled model of {use_case.name} predicts something else than its estimator: "
            f"up to {largest:.3g} off on {len(rows):,} validation rows, and {use_case.parity:.3g} is allowed "
            f"({(~(difference <= use_case.parity)).sum():,} rows are further off)."
        )
    return largest


def _graph(estimator: Any) -> onnx.ModelProto:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType
    from sklearn.base import is_classifier
    from sklearn.impute import SimpleImputer

    try:
        graph: onnx.ModelProto = convert_sklearn(
            estimator,
            initial_types=[(INPUT, DoubleTensorType([None, estimator.n_features_in_]))],
            target_opset=_OPSETS,
            options={id(estimator): {"zipmap": False}} if is_classifier(estimator) else None,
            custom_conversion_functions={SimpleImputer: _convert_imputer},
            custom_shape_calculators={SimpleImputer: _imputer_shape},
        )
    except Exception as error:  # skl2onnx raises whatever a converter stumbles over
        raise ReleaseError(
            f"{type(estimator).__name__} cannot be compiled for serving: {error} "
            "Estimators that can: those that skl2onnx converts in doubles, and HistGradientBoosting."
        ) from error
    return graph


def _imputer_shape(operator: Any) -> None:
    operator.outputs[0].type = operator.inputs[0].type


def _convert_imputer(scope: Any, operator: Any, container: Any) -> None:
    """NaN → the column's statistic; onnxruntime's own Imputer takes no doubles."""
    from onnx import TensorProto

    (source,), (target,) = operator.inputs, operator.outputs
    fill, missing = scope.get_unique_variable_name("fill"), scope.get_unique_variable_name("missing")
    statistics = operator.raw_operator.statistics_
    container.add_initializer(fill, TensorProto.DOUBLE, [1, len(statistics)], statistics.tolist())
    container.add_node("IsNaN", source.full_name, missing, op_version=13)
    container.add_node("Where", [missing, fill, source.full_name], target.full_name, op_version=9)
