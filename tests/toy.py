"""A use case small enough to reason about by hand: y = 2·x, and `colour` does not matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import root_mean_squared_error

from usecases.base import Candidate, Cleaned, Gates, Metric, Monitored, OutdatedAfter, Split, UseCase
from usecases.contract import Contract


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    x: float
    colour: Literal["red", "blue"] = "red"


class Response(BaseModel):
    y: float


def rows(count: int = 200, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 10, count)
    return pd.DataFrame({"x": x, "colour": rng.choice(["red", "blue"], count), "y": 2 * x})


def features(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"x": frame["x"].astype(float), "red": (frame["colour"] == "red").astype(float)})


def encode(arithmetic: Any, row: Any, tables: Any) -> list[Any]:
    return [arithmetic.number(row["x"]), arithmetic.number(row["colour"] == "red")]


def locate(source: str, months: Sequence[str] | None, cache: Path) -> list[Path]:
    return [Path(source)]


def split(frame: pd.DataFrame, cutoff: str | None, seed: int) -> Split:
    return Split(frame.iloc[: len(frame) // 2], frame.iloc[len(frame) // 2 :])


CONTRACT = Contract(
    name="toy",
    title="Twice the number",
    task="regression",
    request=Request,
    respond=lambda y: Response(y=y),
    example={"x": 1.0},
)
TOY = UseCase(
    contract=CONTRACT,
    target="y",
    locate=locate,
    sources={"sample": "nothing"},
    read=lambda paths: pd.concat([pd.read_csv(path) for path in paths]),
    raw_schema=lambda: __import__("pandera.pandas").pandas.DataFrameSchema({}),
    clean=lambda frame: Cleaned(frame, {}),
    split=split,
    default_cutoff=None,
    features=features,
    encode=encode,
    candidates=[
        Candidate("mean", lambda parameters, seed: DummyRegressor()),
        Candidate("linear", lambda parameters, seed: LinearRegression()),
        Candidate(
            "ridge",
            lambda parameters, seed: Ridge(**parameters),
            defaults={"alpha": 1000.0},
            space=lambda trial: {"alpha": trial.suggest_float("alpha", 1e-6, 1e4, log=True)},
        ),
    ],
    metric=Metric("rmse", root_mean_squared_error, "minimize"),
    gates=Gates(bound=1.0, champion_tolerance=0.01, slice_ratio=1.1, slice_min_rows=20),
    slices={"colour": lambda frame, train: frame["colour"]},
    monitored={"x": Monitored("numeric", "the number"), "colour": Monitored("categorical", "colour")},
    rhythm=None,
    outdated_after=OutdatedAfter(),
    intended_use="tests.",
    limits="anything else.",
    parity=1e-9,
)


def contract(**changes: Any) -> Contract:
    return replace(CONTRACT, **changes)


def toy(**changes: Any) -> UseCase:
    return replace(TOY, **changes)
