"""Distances and tests of distributions: right on what is known, honest on what chance does."""

from __future__ import annotations

from statistics import mean

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from monitoring.shifts import categorical, count, holm, numeric, pool

quick = settings(max_examples=50, deadline=None)
numbers = st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=60).map(pd.Series)
values = st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=60).map(pd.Series)


@quick
@given(before=numbers, now=numbers)
def test_a_numeric_shift_is_the_same_from_either_side(before: pd.Series, now: pd.Series) -> None:
    assert numeric(before, now) == pytest.approx(numeric(now, before))


@quick
@given(before=values, now=values)
def test_a_categorical_shift_is_the_same_from_either_side(before: pd.Series, now: pd.Series) -> None:
    assert categorical(before, now) == pytest.approx(categorical(now, before))


@quick
@given(before=numbers)
def test_numbers_have_not_moved_from_themselves(before: pd.Series) -> None:
    assert numeric(before, before) == (0.0, 1.0)


@quick
@given(before=values)
def test_values_have_not_moved_from_themselves(before: pd.Series) -> None:
    assert categorical(before, before.sample(frac=1, random_state=0)) == (0.0, 1.0)


@quick
@given(before=numbers, now=numbers, kinds=st.tuples(values, values))
def test_distance_and_p_lie_between_0_and_1(
    before: pd.Series, now: pd.Series, kinds: tuple[pd.Series, pd.Series]
) -> None:
    for found in (numeric(before, now), categorical(*kinds)):
        assert 0 <= found.distance <= 1
        assert 0 <= found.p <= 1


def test_what_has_nothing_in_common_is_1_apart() -> None:
    assert numeric(pd.Series(range(100)), pd.Series(range(1000, 1100))).distance == 1
    assert categorical(pd.Series(["a", "b"] * 50), pd.Series(["c"] * 100)).distance == pytest.approx(1)


def test_p_is_what_scipy_says() -> None:
    rng = np.random.default_rng(3)
    before, now = rng.normal(size=300), rng.normal(0.2, size=500)
    expected = stats.ks_2samp(before, now, method="asymp")
    assert numeric(pd.Series(before), pd.Series(now)) == pytest.approx((expected.statistic, expected.pvalue))
    colours = [
        pd.Series(rng.choice(["a", "b", "c"], rows, p=p)) for rows, p in ((300, None), (500, (0.4, 0.3, 0.3)))
    ]
    table = np.array([part.value_counts().reindex(["a", "b", "c"]) for part in colours])
    assert categorical(*colours).p == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)


@pytest.mark.parametrize("rows", [200, 2000])
def test_where_nothing_moved_p_is_small_as_seldom_as_it_says(rows: int) -> None:
    rng = np.random.default_rng(rows)
    zones = 1 / np.arange(1, 101)
    zones /= zones.sum()
    ps = {"numeric": [], "categorical": []}
    for _ in range(400):
        ps["numeric"].append(
            numeric(pd.Series(rng.exponential(size=3000)), pd.Series(rng.exponential(size=rows))).p
        )
        drawn = [pd.Series(rng.choice(100, size, p=zones)) for size in (3000, rows)]
        ps["categorical"].append(categorical(*drawn).p)
    for found in ps.values():
        # Of 400, a twentieth is 20; four standard deviations are 18.
        assert sum(p < 0.05 for p in found) <= 38
        assert 0.4 < mean(found) < 0.62


@pytest.mark.parametrize("rows", [300, 1000, 10_000])
@pytest.mark.parametrize("share", [0.1, 0.3])
def test_the_distance_of_many_values_does_not_depend_on_how_many_rows_there_are(
    rows: int, share: float
) -> None:
    rng = np.random.default_rng(rows)
    before = rng.integers(0, 40, 20_000)
    # A share of the rows go to twenty of the forty values: they are then share / 2 apart.
    now = np.where(rng.random(rows) < share, rng.integers(0, 20, rows), rng.integers(0, 40, rows))
    assert categorical(pd.Series(before), pd.Series(now)).distance == pytest.approx(share / 2, abs=0.06)


def test_a_value_that_the_reference_never_had_counts() -> None:
    before, now = pd.Series(["a", "b"] * 100), pd.Series(["a", "b", "new", "new"] * 50)
    assert categorical(before, now).distance == pytest.approx(0.5, abs=0.02)


def test_all_that_is_missing_is_one_value_whatever_the_types() -> None:
    counted = count(pd.Series([1.0, np.nan, 2.0]), pd.Series([1, None, None], dtype=object))
    assert counted.values == [1.0, 2.0, None]
    assert counted.counts.tolist() == [[1, 1, 1], [1, 0, 2]]


def test_rare_values_are_pooled_until_the_test_holds_for_them() -> None:
    counts = np.array([[500.0, 400, 3, 2, 1, 94], [500, 400, 1, 2, 3, 94]])
    # Each is expected fewer than five times, the three together six times.
    assert pool(counts).tolist() == [[6, 94, 400, 500], [6, 94, 400, 500]]
    # Without the third they are not, so the rarest of the others joins them.
    assert pool(counts[:, [0, 1, 2, 3, 5]]).tolist() == [[99, 400, 500], [97, 400, 500]]


@pytest.mark.parametrize("empty", [[], [np.nan] * 50, [None] * 50])
def test_of_numbers_that_are_all_missing_nothing_is_said(empty: list[None]) -> None:
    assert numeric(pd.Series(range(50)), pd.Series(empty, dtype=object)) == (0.0, 1.0)


def test_a_constant_column_that_stays_has_not_moved_and_one_that_changes_has() -> None:
    same, other = pd.Series([7.0] * 300), pd.Series([8.0] * 300)
    assert numeric(same, same) == (0.0, 1.0)
    assert numeric(same, other).distance == 1
    assert categorical(same, other).distance == pytest.approx(1)


def test_few_rows_prove_nothing() -> None:
    assert categorical(pd.Series(["a"] * 3), pd.Series(["b"] * 3)).p > 0.01


@quick
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_corrected_ps_keep_their_order_and_are_at_most_as_many_times_as_large(ps: list[float]) -> None:
    corrected = holm(ps)
    assert all(p <= q <= p * len(ps) + 1e-12 or q == 1 for p, q in zip(ps, corrected, strict=True))
    assert np.array(corrected)[np.argsort(ps)].tolist() == sorted(corrected)
    assert min(corrected) == pytest.approx(min(1.0, min(ps) * len(ps)))


def test_corrected_ps_are_those_of_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
