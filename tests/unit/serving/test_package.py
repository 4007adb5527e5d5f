"""What a Bento carries beside its model."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd

from serving.package import REFERENCE_ROWS, _reference


def examples(rows: int) -> pd.DataFrame:
    generator = np.random.default_rng(1)
    return pd.DataFrame({"distance": generator.random(rows), "prediction": np.arange(rows, dtype=float)})


def test_some_of_the_rows_that_a_version_was_judged_by_are_in_its_bento_always_the_same_ones() -> None:
    many = examples(3 * REFERENCE_ROWS)
    found = pd.read_parquet(io.BytesIO(_reference(many)))
    assert len(found) == REFERENCE_ROWS
    assert found["prediction"].is_monotonic_increasing
    pd.testing.assert_frame_equal(found, many.iloc[found["prediction"].astype(int)].reset_index(drop=True))
    assert abs(found["prediction"].mean() - many["prediction"].mean()) < 0.05 * len(many)
    assert _reference(many) == _reference(many.copy())


def test_of_a_few_rows_all_are() -> None:
    few = examples(30)
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(_reference(few))), few)
