"""Gradient-boosted trees of scikit-learn → the arrays of a `Forest`, when a model is packaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from errors import ReleaseError
from serving.trees.forest import LEAF, MAX_FEATURES, MAX_THRESHOLDS, NODE

_LINKS = {"IdentityLink": "identity", "LogLink": "exp", "LogitLink": "sigmoid"}
"""What scikit-learn predicts by → the name of its inverse among those of `Forest`."""


def members(estimator: Any) -> list[Any]:
    """The gradient-boosted ensembles whose mean an estimator is; none when it is something else."""
    from sklearn.ensemble import (
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
        VotingRegressor,
    )

    if isinstance(estimator, VotingRegressor) and estimator.weights is None:
        found: list[Any] = estimator.estimators_
        return found if all(isinstance(m, HistGradientBoostingRegressor) for m in found) else []
    binary = isinstance(estimator, HistGradientBoostingClassifier) and estimator.n_trees_per_iteration_ == 1
    return [estimator] if binary or isinstance(estimator, HistGradientBoostingRegressor) else []


def pack(ensembles: Sequence[Any]) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a `Forest` that predicts the mean of gradient-boosted ensembles.

    Raises:
        ReleaseError: they have splits by category, links of other kinds or of several, or more features or
            thresholds than nodes have room for.
    """
    features = ensembles[0].n_features_in_
    trees = [_by_level(tree) for tree in node_tables(ensembles)]
    nodes = np.concatenate(trees)
    inner = nodes["is_leaf"] == 0
    sizes = np.array([*map(len, trees)])
    roots = np.cumsum(sizes) - sizes
    packed = np.zeros(len(nodes), dtype=NODE)
    packed["code"] = LEAF
    thresholds = []
    for feature in range(features):
        own = inner & (nodes["feature_idx"] == feature)
        distinct, codes = np.unique(nodes["num_threshold"][own], return_inverse=True)
        if features > MAX_FEATURES or len(distinct) > MAX_THRESHOLDS:
            raise ReleaseError(
                f"Trees over {features:,} features, one of {len(distinct):,} thresholds, cannot be compiled: "
                f"up to {MAX_FEATURES:,} features can, each of up to {MAX_THRESHOLDS:,} thresholds."
            )
        packed["code"][own] = codes
        packed["column"][own] = 2 * feature + (nodes["missing_go_to_left"][own] == 0)
        thresholds.append(distinct)
    # The children of a tree's first inner node are its nodes 1 and 2, those of its second 3 and 4, and so on.
    before = np.cumsum(inner) - inner
    children = 1 + 2 * (before - np.repeat(before[roots], sizes)) + np.repeat(roots, sizes)
    packed["child"] = np.where(inner, children, np.arange(len(nodes)))
    return {
        "starts": np.cumsum([0, *map(len, thresholds)], dtype=np.int64),
        "thresholds": np.concatenate(thresholds),
        "roots": roots.astype(np.uint32),
        "nodes": packed,
        "values": np.where(inner, 0.0, nodes["value"]) / len(ensembles),
        "base": np.array(sum(float(e._baseline_prediction.item()) for e in ensembles) / len(ensembles)),
        "link": np.array(link(ensembles)),
    }


def node_tables(ensembles: Sequence[Any]) -> Iterator[Any]:
    """The nodes of scikit-learn's own trees, a table a tree; a leaf's value has the learning rate in it.

    Raises:
        ReleaseError: some split by category.
    """
    for ensemble in ensembles:
        for (predictor,) in ensemble._predictors:
            if predictor.nodes["is_categorical"].any():
                raise ReleaseError("Trees with splits by category cannot be compiled; give them numbers.")
            yield predictor.nodes


def link(ensembles: Sequence[Any]) -> str:
    """What turns a sum of leaves into the prediction.

    Raises:
        ReleaseError: nothing here does, or they have different ones.
    """
    found = {type(ensemble._loss.link).__name__ for ensemble in ensembles}
    if len(found) > 1 or not found <= _LINKS.keys():
        raise ReleaseError(
            f"Trees with the links {', '.join(sorted(found))} cannot be compiled; "
            f"one of {', '.join(_LINKS)} can."
        )
    return _LINKS[found.pop()]


def _by_level(tree: Any) -> Any:
    """A tree's nodes level by level: siblings are side by side, and what most walks pass lies together."""
    left, right, leaf = (tree[name].tolist() for name in ("left", "right", "is_leaf"))
    order = [0]
    for node in order:  # which grows meanwhile
        if not leaf[node]:
            order += [left[node], right[node]]
    return tree[order]
