"""The contract that a use case fills in: everything particular to one prediction problem.

A use case is a folder `usecases/<name>/` whose `use_case.py` defines `USE_CASE: UseCase`.
It holds pure functions over DataFrames; it knows nothing of pipelines, databases or servers,
and nothing outside its folder knows it by name.

The path of a row:

    locate → read → raw_schema → clean → split → features → candidate.build(...).fit
                                                 ↑                     ↓
                     endpoint: request → the same features → what candidate.parts gives, compiled
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel

from usecases.arithmetic import Arithmetic, Tables, Value
from usecases.contract import Contract

if TYPE_CHECKING:
    import pandera.pandas as pa
    from upath import UPath

Array = npt.NDArray[np.float64]
Parameter = float | int | str | bool | None
Encode = Callable[[Arithmetic, Mapping[str, Value], Mapping[str, Any]], Sequence[Value]]
"""(arithmetic, request values by field, tables) → the numbers that an estimator predicts from, in order.
A function of a module that imports neither pandas nor scikit-learn."""


class Cleaned(NamedTuple):
    """Rows that passed the cleaning rule, and how many were dropped for which reason."""

    frame: pd.DataFrame
    dropped: dict[str, int]


class Split(NamedTuple):
    """Training and validation rows; they share no row."""

    train: pd.DataFrame
    validation: pd.DataFrame


class Trial(Protocol):
    """The part of `optuna.Trial` that a search space uses."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...
    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


class Estimator(Protocol):
    """A scikit-learn estimator over the frame that `UseCase.features` returns."""

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Any: ...
    def predict(self, X: pd.DataFrame) -> Any: ...


@dataclass(frozen=True)
class Parts:
    """A fitted estimator taken apart, for endpoints to run it without scikit-learn.

    prediction = estimator(encode(request, tables)), within `bounds`.
    """

    encode: Encode
    tables: Tables
    """What it has learnt and `encode` looks up."""
    estimator: Any
    """Fitted scikit-learn estimator or pipeline over a matrix, of a kind that can be compiled."""
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True)
class Candidate:
    """A family of models that competes to become champion."""

    name: str
    build: Callable[[Mapping[str, Any], int], Estimator]
    """(parameters, seed) → unfitted scikit-learn estimator over the feature frame."""
    defaults: Mapping[str, Parameter] = field(default_factory=dict)
    """Parameters of the first trial, and the only ones when there is one trial."""
    space: Callable[[Trial], dict[str, Parameter]] | None = None
    """Draws parameters for one more trial; None when there is nothing to search."""
    about: str = ""
    parts: Callable[[Any], Parts] | None = None
    """Takes a fitted estimator apart; None when it predicts from the feature frame's columns alone."""


@dataclass(frozen=True)
class Metric:
    """How good predictions are: one number over all rows given."""

    name: str
    score: Callable[[Any, Any], float]
    """(true values, predictions) → the metric."""
    direction: Literal["minimize", "maximize"]
    unit: str = ""

    def better(self, a: float, b: float) -> bool:
        """Whether score `a` is strictly better than score `b`."""
        return a < b if self.direction == "minimize" else a > b

    def ratio(self, a: float, b: float) -> float:
        """How many times worse `a` is than `b`: above 1 worse, below 1 better."""
        worse, best = (a, b) if self.direction == "minimize" else (b, a)
        return worse / best if best else float("inf") if worse else 1.0


@dataclass(frozen=True)
class Gates:
    """What a model must fulfil to become champion."""

    bound: float
    """The metric over all validation rows must be at least this good."""
    champion_tolerance: float
    """Share by which the metric may be worse than the champion's on the same rows (0.01: one percent)."""
    slice_ratio: float
    """How many times worse a slice may be than the champion's (without one: the baseline's) same slice."""
    slice_min_rows: int
    """Slices with fewer rows are shown, not judged: their metric is mostly noise."""


@dataclass(frozen=True)
class Monitored:
    """A column whose distribution in service is compared with that of the validation rows."""

    kind: Literal["numeric", "categorical"]
    """Categorical: values are the same or not, and a missing one is a value of its own. Numeric: values are
    ordered, and missing ones left to the look at quality."""
    label: str
    """What people call it; begins sentences such as `<label> is lower: the median was …`."""
    unit: str = ""
    tolerated: float | None = None
    """Distance up to which a shift is no news; None: monitoring's own for the kind."""
    calendar: bool = False
    """It follows from when a row came: it can be compared over whole periods of the rhythm alone."""


@dataclass(frozen=True)
class Rhythm:
    """That rows differ from hour to hour and from day to day, and do so again and again."""

    moment: str
    """Request column that says when a row came."""
    period: timedelta
    """After which it begins anew; what came in less time is not compared as if it were the whole."""


@dataclass(frozen=True)
class OutdatedAfter:
    """Ages that are too old; None: none is."""

    data: timedelta | None = None
    """Of the newest row in the data files."""
    model: timedelta | None = None
    """Of the training."""


@dataclass(frozen=True)
class UseCase:
    """One prediction problem."""

    contract: Contract
    target: str
    """Column that `clean` leaves in the frame and the model predicts."""
    locate: Callable[[str, Sequence[str] | None, Path], Sequence[UPath]]
    """(source, months, download folder) → the data files, downloaded when a named source is remote.
    `source` is a name out of `sources`, a folder, or files separated by commas; paths or URLs
    (usecases/files.py)."""
    sources: Mapping[str, str]
    """Named sources → one line on each; the first is the default and works offline."""
    read: Callable[[Sequence[UPath]], pd.DataFrame]
    """Data files → raw rows, numbered from 0, in types that do not depend on what a file happens to hold."""
    raw_schema: Callable[[], pa.DataFrameSchema]
    """What raw rows must look like (a function: pandera is not needed to serve)."""
    clean: Callable[[pd.DataFrame], Cleaned]
    """Raw rows → rows to learn from, numbered from 0. It judges each row by itself: many files are cleaned
    one by one, and together they give the same rows."""
    split: Callable[[pd.DataFrame, str | None, int], Split]
    """(clean rows, cutoff date or None, seed) → training and validation rows."""
    default_cutoff: str | None
    """ISO date of the first validation row; None when rows are not split by time."""
    features: Callable[[pd.DataFrame], pd.DataFrame]
    """Request columns → feature columns, row by row; `encode` over a table."""
    encode: Encode
    """The columns of `features` in their order, out of the values of a request; it needs no tables."""
    candidates: Sequence[Candidate]
    """The first is the baseline that the others are measured against."""
    metric: Metric
    gates: Gates
    slices: Mapping[str, Callable[[pd.DataFrame, pd.DataFrame], pd.Series]]
    """Slice name → (rows, training rows) → label of each row."""
    monitored: Mapping[str, Monitored]
    """Columns of `features`, or of requests, whose shift is worth a new model."""
    rhythm: Rhythm | None
    """None when it makes no difference when a row came."""
    outdated_after: OutdatedAfter
    """When the champion and its data are too old, which `status` and the loop then say."""
    intended_use: str
    """What the model is for, for its card; a sentence that goes on after "For"."""
    limits: str
    """What it must not be used for and what it cannot know; goes on after "Not for"."""
    parity: float
    """By how much a compiled model's prediction may be off the estimator's, on any validation row."""
    known_at: Callable[[pd.DataFrame], pd.Series] | None = None
    """Clean rows → the moment at which the target of each was known; None where the rows don't say."""

    @property
    def moment(self) -> str | None:
        """Request column that says when a row came; None where that makes no difference."""
        return self.rhythm.moment if self.rhythm else None

    @property
    def name(self) -> str:
        return self.contract.name

    @property
    def title(self) -> str:
        return self.contract.title

    @property
    def task(self) -> Literal["regression", "classification"]:
        return self.contract.task

    @property
    def request(self) -> type[BaseModel]:
        return self.contract.request

    @property
    def respond(self) -> Callable[[float], BaseModel]:
        return self.contract.respond

    @property
    def example(self) -> Mapping[str, Any]:
        return self.contract.example

    @property
    def request_columns(self) -> list[str]:
        """Columns known at request time, in the request model's order."""
        return self.contract.request_columns

    def request_frame(self, requests: Sequence[BaseModel]) -> pd.DataFrame:
        """Valid requests → the frame that `features` reads, a row for each."""
        return pd.DataFrame(
            {name: [getattr(request, name) for request in requests] for name in self.request_columns}
        )

    def candidate(self, name: str) -> Candidate:
        """The candidate called `name`.

        Raises:
            KeyError: there is none.
        """
        return {candidate.name: candidate for candidate in self.candidates}[name]

    def predict(self, model: Any, rows: pd.DataFrame) -> Array:
        """Predictions of a fitted model over request columns: values, or the probability of class 1."""
        if self.task == "classification":
            return np.asarray(model.predict_proba(rows)[:, 1], dtype=np.float64)
        return np.asarray(model.predict(rows), dtype=np.float64)


def columns(rows: pd.DataFrame) -> dict[str, npt.NDArray[Any]]:
    """The columns of a table as numpy arrays; in nullable ones what is missing becomes NaN."""
    return {str(name): _array(rows[name]) for name in rows.columns}


def _array(column: pd.Series) -> npt.NDArray[Any]:
    numeric = pd.api.types.is_extension_array_dtype(column.dtype) and pd.api.types.is_numeric_dtype(column)
    return column.to_numpy(dtype=np.float64, na_value=np.nan) if numeric else column.to_numpy()
