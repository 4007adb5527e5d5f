"""The use cases at hand, fitted once on few rows, and requests that are valid for them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

import serving.rows
import usecases
from serving.compile import compile_model
from serving.compiled import Compiled
from serving.endpoint import Endpoint
from serving.openapi import openapi
from training import search
from training.profile import profile
from usecases.base import UseCase, columns

ROWS = 2_000
NAMES = usecases.names()
CANDIDATES = [(name, candidate.name) for name in NAMES for candidate in usecases.load(name).candidates]
# The same examples each time, so that a failure seen once is seen again, and no folder of examples.
STEADY = settings(deadline=None, derandomize=True, database=None)


@cache
def rows(name: str) -> pd.DataFrame:
    """Clean rows of the default source, spread evenly over it; not to be changed."""
    case = usecases.load(name)
    files = case.locate(next(iter(case.sources)), None, Path(tempfile.gettempdir()))
    clean = case.clean(case.read(files)).frame
    return clean.iloc[:: max(1, len(clean) // ROWS)].reset_index(drop=True)


@cache
def fitted(name: str, candidate: str, seed: int = 42) -> Any:
    """A candidate with its defaults, fitted on `rows`."""
    case = usecases.load(name)
    chosen = case.candidate(candidate)
    return search.fit(case, chosen, chosen.defaults, rows(name), seed=seed)


@cache
def fast(name: str, candidate: str) -> Compiled:
    """The compiled form of a fitted candidate."""
    with tempfile.TemporaryDirectory() as folder:
        return compile_model(usecases.load(name), fitted(name, candidate), candidate, Path(folder))


@cache
def endpoint(name: str, candidate: str) -> Endpoint:
    """An endpoint over a fitted candidate, as a Bento would hold it."""
    case = usecases.contract_of(name)
    seen = rows(name)[case.request_columns]
    provenance = {"model_version": 7, "use_case": name, "candidate": candidate}
    known = profile(seen, fast(name, candidate).predict_columns(columns(seen)))
    return Endpoint(case, fast(name, candidate), provenance, known, json.dumps(openapi(case, 7)).encode())


def answer(ready: Endpoint, document: Any) -> dict[str, Any]:
    """What an endpoint sends for a request, by the way that a body takes."""
    request = ready.validate(json.dumps(document).encode())
    return dict(json.loads(ready.answer(ready.output(request))))


def answer_batch(ready: Endpoint, documents: Sequence[Any]) -> list[dict[str, Any]]:
    """What an endpoint predicts for many requests, by the way that a batch's body takes."""
    requests = ready.validate_batch(json.dumps({"rows": documents}).encode())
    return list(json.loads(ready.answer_batch(ready.outputs(requests)))["predictions"])


def valid(case: UseCase, documents: Sequence[Any]) -> list[BaseModel]:
    """Requests out of JSON values, by the way that a request's body takes."""
    return [case.request.model_validate_json(json.dumps(document)) for document in documents]


def documents(case: UseCase, frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as the JSON values of requests."""
    return serving.rows.requests(case.contract, frame)


def answerable(case: UseCase, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that an endpoint takes: recorded ones may lie outside of what a request may hold."""
    taken = [_takes(case, document) for document in documents(case, frame)]
    return frame[taken].reset_index(drop=True)


def _takes(case: UseCase, document: dict[str, Any]) -> bool:
    try:
        valid(case, [document])
    except ValidationError:
        return False
    return True


def bits(frame: pd.DataFrame) -> dict[str, tuple[str, bytes]]:
    """Type and bytes of each column: equal for frames that agree to the last bit."""
    return {
        str(name): (frame[name].dtype.str, frame[name].to_numpy().tobytes())  # type: ignore[union-attr]
        for name in frame.columns
    }


_zone = st.integers(1, 265)
_moment = st.datetimes(datetime(2009, 1, 1), datetime(2099, 12, 31)).map(datetime.isoformat)
TRIPS = st.fixed_dictionaries(
    {
        "PULocationID": _zone,
        "DOLocationID": _zone,
        "lpep_pickup_datetime": _moment,
        "trip_distance": st.sampled_from([0, 0.01, 30, 100]) | st.floats(0, 100),
    },
    optional={
        "passenger_count": st.none() | st.integers(0, 9),
        "trip_type": st.none() | st.integers(1, 2),
        "VendorID": st.none() | st.integers(1, 6),
    },
)
PASSENGERS = st.fixed_dictionaries(
    {"Pclass": st.integers(1, 3), "Sex": st.sampled_from(["female", "male"])},
    optional={
        "Age": st.none() | st.floats(0, 120),
        "SibSp": st.integers(0, 20),
        "Parch": st.integers(0, 20),
        "Fare": st.none() | st.floats(0, 1000),
        "Embarked": st.sampled_from([None, "C", "Q", "S"]),
    },
)
REQUESTS = {"taxi": TRIPS, "titanic": PASSENGERS}
