"""Passengers of whom some are no valid requests, each in another way."""

from __future__ import annotations

import numpy as np
import pandas as pd

ODD: dict[str, list[object]] = {
    "Pclass": [0, 4, 2.5, None],
    "Sex": ["unknown", "", None],
    "Age": [-1.0, 121.0],
    "SibSp": [-1, 21, 1.5],
    "Fare": [-0.5, 1000.5],
    "Embarked": ["X", "q"],
}
"""Values that the request refuses, by column."""


def passengers(count: int, *, bad: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """`count` passengers with a number of their own; of a share of `bad` one value is odd."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "id": np.arange(count),
            "name": [f'Passenger {number}, "the {number % 7}th"' for number in range(count)],
            "Pclass": rng.integers(1, 4, count),
            "Sex": rng.choice(["female", "male"], count),
            "Age": np.where(rng.random(count) < 0.2, np.nan, rng.uniform(0.5, 80, count)),
            "SibSp": rng.integers(0, 5, count),
            "Parch": rng.integers(0, 5, count),
            "Fare": np.where(rng.random(count) < 0.1, np.nan, rng.uniform(0, 500, count)),
            "Embarked": rng.choice(np.array(["C", "Q", "S", None], dtype=object), count),
        }
    ).astype({"Pclass": object, "SibSp": object})
    for row in np.flatnonzero(rng.random(count) < bad):
        column = str(rng.choice(list(ODD)))
        frame.loc[row, column] = ODD[column][int(rng.integers(len(ODD[column])))]
    return frame.astype({"Pclass": float, "SibSp": float})
