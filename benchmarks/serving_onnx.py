"""The champion's trees as an ONNX graph, for peers that serve compiled models as everybody else does it.

skl2onnx 1.20 fails on HistGradientBoosting, and what it makes of other trees in doubles onnxruntime refuses;
so the graph is written here, as one TreeEnsemble.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from serving import compiled
from serving.compile import compile_model, take_apart
from serving.graph import INPUT
from serving.trees.pack import link, members, node_tables

if TYPE_CHECKING:
    import onnx

    from usecases.base import UseCase

_LINKS = {"identity": "Identity", "exp": "Exp", "sigmoid": "Sigmoid"}


def write(use_case: UseCase, fitted: Any, candidate: str, folder: Path) -> None:
    """Write the compiled form of `fitted` with an ONNX graph in it, whatever it is, into `folder`."""
    parts = take_apart(use_case, fitted, candidate)
    boosted = members(parts.estimator)
    if boosted:
        graph = _graph(boosted).SerializeToString()
        compiled.save(folder, estimator=graph, encode=parts.encode, tables=parts.tables, bounds=parts.bounds)
    else:
        compile_model(use_case, fitted, candidate, folder)


def _graph(ensembles: list[Any]) -> onnx.ModelProto:
    from onnx import TensorProto, helper, numpy_helper

    def doubles(name: str, values: Any) -> Any:
        return numpy_helper.from_array(np.asarray(values, dtype=np.float64), name)

    inner, weights, roots = _nodes(ensembles)
    base = sum(float(ensemble._baseline_prediction.item()) for ensemble in ensembles) / len(ensembles)
    splits = doubles("splits", inner.pop("splits"))
    trees = helper.make_node(
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
        leaf_weights=doubles("weights", weights / len(ensembles)),
    )
    graph = helper.make_graph(
        [
            trees,
            helper.make_node("Add", ["leaves", "base"], ["raw"]),
            helper.make_node(_LINKS[link(ensembles)], ["raw"], ["prediction"]),
        ],
        "trees",
        [helper.make_tensor_value_info(INPUT, TensorProto.DOUBLE, [None, ensembles[0].n_features_in_])],
        [helper.make_tensor_value_info("prediction", TensorProto.DOUBLE, [None, 1])],
        initializer=[doubles("base", [base])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 5)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _nodes(ensembles: list[Any]) -> tuple[dict[str, Any], Any, list[int]]:
    """Inner nodes of all trees as the operator's columns, the values of all leaves, the trees' roots.

    The operator numbers inner nodes and leaves apart, through all trees.
    """
    parts, values, roots = [], [], []
    inners = leaves = 0
    for nodes in _trees(ensembles):
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


def _trees(ensembles: list[Any]) -> Iterator[Any]:
    """Scikit-learn's trees; one that is a leaf becomes one whose both sides are that leaf.

    The operator knows no other.
    """
    for nodes in node_tables(ensembles):
        if len(nodes) == 1:
            nodes = np.concatenate([nodes, nodes])
            nodes[0]["is_leaf"], nodes[0]["left"], nodes[0]["right"] = 0, 1, 1
        yield nodes
