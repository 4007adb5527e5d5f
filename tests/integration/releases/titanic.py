"""Model versions of the Titanic as Bentos, and a place to release them to."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import psutil

import usecases
from db import releases as record
from releases import release as releases
from releases.outcome import Outcome
from serving import client
from serving import model as served_model
from serving.package import PREDICTION, ModelPackage, Packed, package
from settings import Settings
from training.profile import profile
from training.search import fit
from usecases.files import path
from usecases.titanic import example

USE_CASE = "titanic"


class Built(NamedTuple):
    content: ModelPackage
    bento: Packed


class Place:
    """A home folder with a database, and what a release there does."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.settings = settings
        self.url = url

    def release(self, built: Built) -> Outcome:
        return releases.release(self.settings, self.url, built.content, built.bento)

    def process(self) -> psutil.Process:
        (serving,) = record.all_serving(self.url, "local")
        return psutil.Process(serving.pid)


def build(store: Path, *, version: int, strength: float) -> Built:
    case = usecases.load(USE_CASE)
    rows = case.clean(case.read([path(example.LIST)])).frame
    candidate = case.candidate("logistic")
    fitted = fit(case, candidate, {"C": strength}, rows, seed=1)
    predictions = served_model.predict(case, fitted, rows[case.request_columns])
    content = ModelPackage(
        use_case=USE_CASE,
        model_version=version,
        model=fitted,
        provenance={
            "candidate": "logistic",
            "zenml_run": "a run",
            "mlflow_run": "another",
            "git_commit": "abc",
            "data": "titanic.csv",
        },
        profile=profile(rows[case.request_columns], predictions),
        examples=rows[case.request_columns].assign(**{PREDICTION: predictions}),
    )
    return Built(content, package(content, store))


def with_model_of(built: Built, other: Built) -> Built:
    """The Bento of `built`, released as if it held the model of `other`."""
    return Built(dataclasses.replace(built.content, model=other.content.model), built.bento)


def ask(address: str, **changes: Any) -> dict[str, Any]:
    with client.connect(address) as endpoint:
        return endpoint.predict(dict(usecases.load(USE_CASE).example) | changes)
