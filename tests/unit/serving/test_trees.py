"""Trees by the kernel: what scikit-learn predicts, the same bits alone and among others, nothing astray."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    VotingRegressor,
)

import usecases
from errors import ModelyardError, ReleaseError
from serving import compiled
from serving.compile import take_apart
from serving.trees import build, forest
from serving.trees.forest import LEAF, Forest
from serving.trees.pack import members, node_tables, pack
from tests.problems import STEADY, fitted, rows
from usecases.arithmetic import MANY
from usecases.base import columns

FEATURES = 5
# Sums of the same leaves in another order.
CLOSE = 1e-11
Arrays = dict[str, np.ndarray]


def table(count: int = 3_000, features: int = FEATURES, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of several kinds, with gaps that mean something high in one column and low in another."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(count, features))
    X[:, 1] = rng.integers(0, 20, count)
    X[rng.random(X.shape) < 0.2] = np.nan
    y = np.nan_to_num(X[:, 0], nan=2.0) * 3 + np.nan_to_num(X[:, 1], nan=-9.0) + rng.normal(size=count)
    return X, y


@cache
def mean_of_two() -> VotingRegressor:
    boosted = [HistGradientBoostingRegressor(max_iter=23, random_state=seed) for seed in (1, 2)]
    return VotingRegressor([(f"member_{k}", one) for k, one in enumerate(boosted)]).fit(*table())


@cache
def arrays() -> Arrays:
    return pack(members(mean_of_two()))


def packed(estimator: Any) -> Forest:
    return Forest(pack(members(estimator)))


def alone(trees: Forest, X: np.ndarray) -> np.ndarray:
    return np.array([trees.one(row) for row in X.tolist()])


def sides() -> set[int]:
    """On which sides the splits of these trees put what is missing."""
    nodes = np.concatenate([*node_tables(members(mean_of_two()))])
    return set(nodes["missing_go_to_left"][nodes["is_leaf"] == 0].tolist())


def test_real_trips_get_the_predictions_of_the_champions_own_trees() -> None:
    taxi = usecases.load("taxi")
    parts = take_apart(taxi, fitted("taxi", "gradient_boosting"), "gradient_boosting")
    encoded = parts.encode(MANY, columns(rows("taxi")[taxi.request_columns]), MANY.tables(parts.tables))
    X = np.column_stack(encoded).astype(np.float64)
    many = packed(parts.estimator).many(X)
    assert many == pytest.approx(parts.estimator.predict(X), rel=0, abs=CLOSE)
    assert alone(packed(parts.estimator), X).tobytes() == many.tobytes()


def test_gaps_go_the_way_that_each_split_has_learnt_for_them() -> None:
    assert sides() == {0, 1}
    X, _ = table(seed=1)
    X[:5] = np.nan
    assert packed(mean_of_two()).many(X) == pytest.approx(mean_of_two().predict(X), abs=CLOSE)


def test_a_gap_that_a_split_separates_from_every_number_goes_right_also_beside_infinity() -> None:
    X = np.array([[1.0], [2.0], [np.nan]] * 50)
    y = np.array([0.0, 0.0, 9.0] * 50)
    boosted = HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=5).fit(X, y)
    assert np.isinf(np.concatenate([*node_tables([boosted])])["num_threshold"]).any()
    asked = np.array([[np.nan], [np.inf], [-np.inf], [1.5]])
    assert packed(boosted).many(asked) == pytest.approx(boosted.predict(asked), abs=CLOSE)


@given(drawn=st.data())
@STEADY
def test_values_on_thresholds_and_the_doubles_beside_them_fall_to_the_same_side(drawn: st.DataObject) -> None:
    known = arrays()
    starts, thresholds = known["starts"], known["thresholds"]

    def near(feature: int) -> st.SearchStrategy[float]:
        own = st.sampled_from(thresholds[starts[feature] : starts[feature + 1]].tolist())
        beside = own.flatmap(
            lambda t: st.sampled_from([t, np.nextafter(t, -np.inf), np.nextafter(t, np.inf)])
        )
        return beside | st.floats()

    X = np.array([drawn.draw(st.tuples(*map(near, range(FEATURES))))])
    trees = Forest(known)
    assert trees.many(X) == pytest.approx(mean_of_two().predict(X), rel=0, abs=CLOSE)
    assert alone(trees, X).tobytes() == trees.many(X).tobytes()


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 15, 16, 17, 95, 96, 97, 1000])
def test_a_row_gets_the_same_bits_alone_and_among_any_number_of_others(size: int) -> None:
    X, _ = table(1_000, seed=2)
    trees = packed(mean_of_two())
    expected = alone(trees, X)
    assert trees.many(X[:size]).tobytes() == expected[:size].tobytes()
    assert trees.many(X[-size or 1000 :]).tobytes() == expected[-size or 1000 :].tobytes()


@pytest.mark.parametrize("number", [1, 9, 10, 11, 30])
def test_any_number_of_trees_is_walked(number: int) -> None:
    X, y = table(500)
    boosted = HistGradientBoostingRegressor(max_iter=number).fit(X, y)
    assert packed(boosted).many(X) == pytest.approx(boosted.predict(X), abs=CLOSE)
    assert alone(packed(boosted), X).tobytes() == packed(boosted).many(X).tobytes()


def test_trees_that_never_split_predict_the_mean() -> None:
    X, y = table(50)
    boosted = HistGradientBoostingRegressor(max_iter=12, min_samples_leaf=1_000).fit(X, y)
    assert {len(tree) for tree in node_tables([boosted])} == {1}
    assert packed(boosted).many(X) == pytest.approx(np.full(50, y.mean()))
    assert packed(boosted).one(X[0].tolist()) == packed(boosted).many(X[:1])[0]


def test_a_tree_much_deeper_than_its_neighbours_is_walked_to_its_end() -> None:
    X = np.arange(400.0)[:, None]
    boosted = HistGradientBoostingRegressor(
        max_iter=4, max_leaf_nodes=200, min_samples_leaf=1, learning_rate=1
    )
    boosted.fit(X, 2.0 ** (X[:, 0] / 20))
    assert max(tree["depth"].max() for tree in node_tables([boosted])) > 20
    assert packed(boosted).many(X) == pytest.approx(boosted.predict(X), rel=1e-14)


def test_two_thousand_features_fit() -> None:
    X, y = table(60, 2_000)
    y = y + np.nan_to_num(X[:, -1]) * 100
    boosted = HistGradientBoostingRegressor(max_iter=12, min_samples_leaf=3).fit(X, y)
    assert packed(boosted).many(X) == pytest.approx(boosted.predict(X), abs=CLOSE)
    assert alone(packed(boosted), X).tobytes() == packed(boosted).many(X).tobytes()


def test_the_most_features_that_nodes_can_name_fit_and_one_more_is_refused() -> None:
    known = dict(arrays())
    added = forest.MAX_FEATURES - FEATURES
    known["starts"] = np.append(known["starts"], np.full(added, known["starts"][-1]))
    X, _ = table(20)
    wide = np.concatenate([X, np.zeros((20, added))], axis=1)
    assert Forest(known).many(wide).tobytes() == Forest(arrays()).many(X).tobytes()
    known["starts"] = np.append(known["starts"], known["starts"][-1])
    with pytest.raises(ModelyardError, match="it has 32,769 features"):
        Forest(known)


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_trees_of_logarithms_predict_their_exponential(loss: str) -> None:
    X, y = table(500)
    boosted = HistGradientBoostingRegressor(loss=loss, max_iter=20).fit(X, np.abs(y) + 0.1)
    assert packed(boosted).many(X) == pytest.approx(boosted.predict(X), rel=1e-12)
    assert alone(packed(boosted), X).tobytes() == packed(boosted).many(X).tobytes()


def test_trees_of_two_classes_predict_the_probability_of_the_second() -> None:
    X, y = table(500)
    boosted = HistGradientBoostingClassifier(max_iter=20).fit(X, y > 0)
    expected = boosted.predict_proba(X)[:, 1]
    assert packed(boosted).many(X) == pytest.approx(expected, rel=1e-12)
    assert alone(packed(boosted), X).tobytes() == packed(boosted).many(X).tobytes()


@pytest.mark.parametrize(
    ("link", "expected"), [("identity", [-1e3, 1e3]), ("exp", [0.0, np.inf]), ("sigmoid", [0.0, 1.0])]
)
def test_sums_that_no_exponential_can_hold_end_at_the_bounds(link: str, expected: list[float]) -> None:
    known = dict(arrays(), link=np.array(link), values=np.zeros(len(arrays()["values"])))
    X, _ = table(1)
    for base, bound in zip((-1e3, 1e3), expected, strict=True):
        trees = Forest(dict(known, base=np.array(base)))
        assert trees.one(X[0].tolist()) == trees.many(X)[0] == bound


def test_matrices_of_any_layout_and_type_are_read_right() -> None:
    X, _ = table(100)
    trees = packed(mean_of_two())
    expected = trees.many(X).tobytes()
    assert trees.many(np.asfortranarray(X)).tobytes() == expected
    assert trees.many(np.repeat(X, 2, axis=0)[::2]).tobytes() == expected
    whole = np.nan_to_num(X).astype(np.int64)
    assert trees.many(whole).tobytes() == trees.many(whole.astype(np.float64)).tobytes()


def test_rows_of_another_width_are_refused() -> None:
    trees = packed(mean_of_two())
    with pytest.raises(ModelyardError, match=r"a matrix of 5 columns, not one of the shape \(3, 4\)"):
        trees.many(np.zeros((3, 4)))
    with pytest.raises(ModelyardError, match=r"rows of 5 numbers, not \[1.0\]"):
        trees.one([1.0])


def test_threads_that_share_a_forest_get_what_one_alone_gets() -> None:
    X, _ = table(2_000, seed=3)
    trees = packed(mean_of_two())
    expected = trees.many(X)
    with ThreadPoolExecutor(4) as threads:
        batches = [threads.submit(trees.many, X[at:]) for at in range(20)]
        singles = [threads.submit(alone, trees, X[at::50]) for at in range(20)]
        assert all(done.result().tobytes() == expected[at:].tobytes() for at, done in enumerate(batches))
        assert all(done.result().tobytes() == expected[at::50].tobytes() for at, done in enumerate(singles))


def changed(name: str, place: Any, value: Any) -> Callable[[Arrays], Arrays]:
    """The arrays with `value` at a place of one of them: an index, or the index and field of a node."""

    def change(known: Arrays) -> Arrays:
        array = known[name].copy()
        if isinstance(place, tuple):
            array[place[1]][place[0]] = value
        else:
            array[place] = value
        return dict(known, **{name: array})

    return change


LAST = -1
DAMAGES: dict[str, tuple[Callable[[Arrays], Arrays], str]] = {
    "missing": (lambda known: {n: a for n, a in known.items() if n != "roots"}, "it lacks roots"),
    "type": (lambda known: dict(known, values=known["values"].astype("f4")), "values are float32"),
    "shape": (lambda known: dict(known, roots=known["roots"][:, None]), "roots are uint32 in 2 dimensions"),
    "base": (lambda known: dict(known, base=np.zeros(2)), "base is not one double"),
    "link": (lambda known: dict(known, link=np.array("log")), "its link is log, none of identity"),
    "no features": (lambda known: dict(known, starts=known["starts"][:1]), "it has 0 features"),
    "nothing": (lambda known: dict(known, starts=known["starts"][:0]), "it has -1 features"),
    "thresholds cut off": (
        lambda known: dict(known, thresholds=known["thresholds"][:-1]),
        "share thresholds",
    ),
    "thresholds before the first": (changed("starts", 0, -1), "share thresholds"),
    "thresholds backwards": (changed("starts", 1, 10**6), "share thresholds"),
    "values cut off": (lambda known: dict(known, values=known["values"][:-1]), r"nodes have .* values"),
    "no trees": (lambda known: dict(known, roots=known["roots"][:0]), "don't begin where nodes do"),
    "root behind the end": (changed("roots", LAST, 2**32 - 1), "don't begin where nodes do"),
    "roots in disorder": (changed("roots", 1, 10**5), "trees overlap|don't begin"),
    "roots twice": (changed("roots", 1, 0), "trees overlap"),
    "leaf that lets go": (changed("nodes", (LAST, "code"), LEAF - 1), "could leave a leaf"),
    "child behind the end": (changed("nodes", (0, "child"), 2**32 - 1), "leads out of its tree"),
    "child in the next tree": (
        lambda known: changed("nodes", (0, "child"), known["roots"][1])(known),
        "leads out of its tree",
    ),
    "sibling in the next tree": (
        lambda known: changed("nodes", (0, "child"), known["roots"][1] - 1)(known),
        "leads out of its tree",
    ),
    "child before its parent": (changed("nodes", (1, "child"), 0), "leads out of its tree or back"),
    "column": (changed("nodes", (0, "column"), 2 * FEATURES), "a feature that there is not"),
    "column of a leaf": (changed("nodes", (LAST, "column"), LEAF), "a feature that there is not"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused_before_the_kernel_sees_it(damage: str, tmp_path: Path) -> None:
    change, said = DAMAGES[damage]
    np.savez(tmp_path / "trees.npz", **change(arrays()))  # type: ignore[arg-type]
    with pytest.raises(ModelyardError, match=f"(?s)file of trees is damaged: .*{said}.*anew"):
        Forest(compiled._arrays(tmp_path / "trees.npz"))


@given(drawn=st.data())
@STEADY
def test_whatever_bytes_nodes_consist_of_they_are_refused_or_predict_a_number(drawn: st.DataObject) -> None:
    known = arrays()
    nodes = known["nodes"].copy()
    for _ in range(drawn.draw(st.integers(1, 3))):
        at = drawn.draw(st.integers(0, len(nodes) * 8 - 1))
        nodes.view(np.uint8)[at] = drawn.draw(st.integers(0, 255))
    X, _ = table(20)
    try:
        trees = Forest(dict(known, nodes=nodes))
    except ModelyardError:
        return
    assert np.isfinite(trees.many(X)).all()


def test_splits_by_category_are_refused() -> None:
    X, y = table(200)
    X[:, 1] = np.nan_to_num(X[:, 1])
    boosted = HistGradientBoostingRegressor(categorical_features=[1], max_iter=3).fit(X, y)
    with pytest.raises(ReleaseError, match="splits by category cannot be compiled; give them numbers"):
        pack(members(boosted))


def test_more_thresholds_of_a_feature_than_codes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.trees.pack.MAX_THRESHOLDS", 10)
    with pytest.raises(ReleaseError, match=r"cannot be compiled: up to .* each of up to 10 thresholds"):
        pack(members(mean_of_two()))


def test_a_platform_without_a_library_is_told_which_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "s390x")
    with pytest.raises(
        ModelyardError, match=r"(?s)s390x.*there are libraries for: darwin-arm64.*make libraries compiles"
    ):
        packed(mean_of_two())


def test_every_library_is_there_and_is_small() -> None:
    sizes = {name: build.library(name).stat().st_size for name in build.TARGETS}
    assert max(sizes.values()) < 60_000
