"""A version goes on predicting as it did when the features that it learnt from are others in the project."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import usecases
from errors import TrackingError
from serving.model import trusted_types
from settings import PROJECT
from tracking.apart import CODE, by_its_own_code, has_code_of_the_project
from training.search import fit

# MLflow's own, when it is imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")
CASE = usecases.load("titanic")


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return CASE.clean(CASE.read(CASE.locate("sample", None, Path()))).frame


@pytest.fixture
def version(rows: pd.DataFrame, tmp_path: Path) -> Path:
    """A version's files, as the registry has them."""
    import mlflow.sklearn

    candidate = CASE.candidate("logistic")
    model = fit(CASE, candidate, candidate.defaults, rows, seed=1)
    folder = tmp_path / "version"
    mlflow.sklearn.save_model(
        model,
        str(folder),
        serialization_format="skops",
        skops_trusted_types=trusted_types(model),
        code_paths=[str(PROJECT / "usecases"), str(PROJECT / "errors.py")],
        pip_requirements=[],
    )
    assert has_code_of_the_project(folder / CODE, "titanic")
    return folder


def test_by_its_own_code(version: Path, rows: pd.DataFrame) -> None:
    features = version / CODE / "usecases" / "titanic" / "features.py"
    # As if fares had been reckoned in tenths of a pound when it learnt.
    features.write_text(features.read_text().replace("    fare = number(", "    fare = 10 * number("))
    assert not has_code_of_the_project(version / CODE, "titanic")
    assert has_code_of_the_project(version / CODE, "taxi")
    import mlflow.sklearn

    # In this process its features are the project's, whatever lies beside it.
    model = mlflow.sklearn.load_model(str(version))
    expected = CASE.predict(model, rows.assign(Fare=rows["Fare"] * 10))
    assert not np.array_equal(CASE.predict(model, rows), expected)
    assert np.array_equal(by_its_own_code(version, "titanic", rows), expected)


def test_what_it_cannot_predict_for_is_said(version: Path, rows: pd.DataFrame) -> None:
    with pytest.raises(
        TrackingError, match="by its own it does not predict for these rows: KeyError: 'Fare'"
    ):
        by_its_own_code(version, "titanic", rows.drop(columns="Fare"))


def test_another_file_of_the_use_case_is_other_code(version: Path) -> None:
    shutil.copy(PROJECT / "errors.py", version / CODE / "usecases" / "titanic" / "more.py")
    assert not has_code_of_the_project(version / CODE, "titanic")
