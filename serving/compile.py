"""A fitted scikit-learn estimator → an ONNX graph in doubles, and the proof that both predict the same.

Trees are written as one TreeEnsemble by this module: skl2onnx 1.20 fails on HistGradientBoosting, and
what it makes of other trees in doubles onnxruntime refuses. Everything else is skl2onnx's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from errors import ReleaseError
from serving import compiled
from serving.compiled import INPUT, Compiled
from usecases.base import Parts, columns

if TYPE_CHECKING:
    import onnx
    import pandas as pd

    from usecases.base import UseCase

_OPSETS = {"": 17, "ai.onnx.ml": 3}
"""What skl2onnx is asked for: the newest that it knows for all of its operators."""
_LINKS = {"IdentityLink": "Identity", "LogLink": "Exp", "LogitLink": "Sigmoid"}
"""What scikit-learn predicts by → the operator that turns a sum of leaves into the prediction."""


def compile_model(use_case: UseCase, fitted: Any, candidate: str, folder: Path) -> Compiled:
    """Write the compiled form of `fitted`, a pipeline that training made of a candidate, into `folder`.

    Raises:
        ReleaseError: a part of the estimator cannot be compiled.
    """
    estimator = fitted[-1]
    take_apart = use_case.candidate(candidate).parts
    parts = take_apart(estimator) if take_apart else Parts(use_case.encode, {}, estimator)
    compiled.save(
        folder,
        graph=_graph(parts.estimator).SerializeToString(),
        encode=parts.encode,
        tables=parts.tables,
        bounds=parts.bounds,
    )
    return compiled.load(folder, use_case.contract)


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
    from sklearn.pipeline import Pipeline

    if isinstance(estimator, Pipeline) and len(estimator.steps) == 1:
        return _graph(estimator[0])
    members = _members(estimator)
    return _tree_graph(members) if members else _other_graph(estimator)


def _members(estimator: Any) -> list[Any]:
    """The gradient-boosted ensembles whose mean an estimator is; none when it is something else."""
    from sklearn.ensemble import (
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
        VotingRegressor,
    )

    if isinstance(estimator, VotingRegressor) and estimator.weights is None:
        members = estimator.estimators_
        return members if all(isinstance(m, HistGradientBoostingRegressor) for m in members) else []
    binary = isinstance(estimator, HistGradientBoostingClassifier) and estimator.n_trees_per_iteration_ == 1
    return [estimator] if binary or isinstance(estimator, HistGradientBoostingRegressor) else []


def _tree_graph(members: list[Any]) -> onnx.ModelProto:
    from onnx import TensorProto, helper, numpy_helper

    def doubles(name: str, values: Any) -> Any:
        return numpy_helper.from_array(np.asarray(values, dtype=np.float64), name)

    links = {type(member._loss.link).__name__ for member in members}
    if len(links) > 1 or not links <= _LINKS.keys():
        raise ReleaseError(
            f"Trees with the links {', '.join(sorted(links))} cannot be compiled; "
            f"one of {', '.join(_LINKS)} can."
        )
    inner, weights, roots = _nodes(members)
    base = sum(float(member._baseline_prediction.item()) for member in members) / len(members)
    splits = doubles("splits", inner.pop("splits"))
    ensemble = helper.make_node(
        "TreeEnsemble",
        [INPUT],
        ["leaves"],
        domain="ai.onnx.ml",
        aggregate_function=1,  # sum
        post_transform=0,  # none
        n_targets=1,
        tree_roots=roots,
        nodes_splits=splits,
        nodes_modes=numpy_helper.from_array(np.zeros(len(inner["featureids"]), dtype=np.uint8), "modes"),  # ≤
        **{f"nodes_{name}": values.tolist() for name, values in inner.items()},
        leaf_targetids=[0] * len(weights),
        leaf_weights=doubles("weights", weights / len(members)),
    )
    graph = helper.make_graph(
        [
            ensemble,
            helper.make_node("Add", ["leaves", "base"], ["raw"]),
            helper.make_node(_LINKS[links.pop()], ["raw"], ["prediction"]),
        ],
        "trees",
        [helper.make_tensor_value_info(INPUT, TensorProto.DOUBLE, [None, members[0].n_features_in_])],
        [helper.make_tensor_value_info("prediction", TensorProto.DOUBLE, [None, 1])],
        initializer=[doubles("base", [base])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 5)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _nodes(members: list[Any]) -> tuple[dict[str, Any], Any, list[int]]:
    """Inner nodes of all trees as the operator's columns, the values of all leaves, the trees' roots.

    The operator numbers inner nodes and leaves apart, through all trees.
    """
    parts, values, roots = [], [], []
    inners = leaves = 0
    for nodes in _trees(members):
        if nodes["is_categorical"].any():
            raise ReleaseError("Trees with splits by category cannot be compiled; give them numbers.")
        leaf = nodes["is_leaf"].astype(bool)
        number = np.where(leaf, leaves + np.cumsum(leaf) - 1, inners + np.cumsum(~leaf) - 1)
        inner = nodes[~leaf]
        part = {"splits": inner["num_threshold"], "featureids": inner["feature_idx"]}
        part["missing_value_tracks_true"] = inner["missing_go_to_left"]
        for side, child in (("true", inner["left"]), ("false", inner["right"])):
            part |= {f"{side}nodeids": number[child], f"{side}leafs": leaf[child].astype(np.int64)}
        parts.append(part)
        values.append(nodes["value"][leaf])
        roots.append(inners)
        inners, leaves = inners + int((~leaf).sum()), leaves + int(leaf.sum())
    together = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return together, np.concatenate(values), roots


def _trees(members: list[Any]) -> Iterator[Any]:
    """Node tables of scikit-learn's own trees; a leaf's value has the learning rate in it.

    A tree that is one leaf becomes one whose both sides are that leaf: the operator knows no other.
    """
    for member in members:
        for (predictor,) in member._predictors:
            nodes = predictor.nodes
            if len(nodes) == 1:
                nodes = np.concatenate([nodes, nodes])
                nodes[0]["is_leaf"], nodes[0]["left"], nodes[0]["right"] = 0, 1, 1
            yield nodes


def _other_graph(estimator: Any) -> onnx.ModelProto:
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
