"""Predictions of a registered model by the use case's code that it was registered with.

A model holds its estimator, and names the functions before it. Once those are others in the project, it would
be given features that it did not learn from: it then predicts in a process of its own, with its own code.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from errors import TrackingError
from settings import PROJECT

if TYPE_CHECKING:
    import pandas as pd

    from tracking.registry import Version
    from usecases.base import Array, UseCase

CODE = "code"
"""Folder, in a version's files, of what MLflow's `code_paths` has put there."""


def predict(use_case: UseCase, version: Version, rows: pd.DataFrame) -> Array:
    """What the version predicts for request columns, as it did when it was registered.

    Raises:
        TrackingError: its files are gone or damaged, or it cannot predict for these rows.
    """
    from tracking import registry

    folder = registry.folder(version)
    if has_code_of_the_project(folder / CODE, use_case.name):
        return use_case.predict(registry.load(version, folder).model, rows)
    return by_its_own_code(folder, use_case.name, rows)


def has_code_of_the_project(code: Path, use_case: str) -> bool:
    """Whether the use case, and what all of them share, is in `code` as it is in the project."""
    return _sources(code, use_case) == _sources(PROJECT, use_case)


def by_its_own_code(folder: Path, use_case: str, rows: pd.DataFrame) -> Array:
    """What the model in a version's files predicts, in a process that imports the code beside it.

    Raises:
        TrackingError: it cannot.
    """
    code = folder / CODE
    with tempfile.TemporaryDirectory() as scratch:
        given, answer = Path(scratch) / "rows.parquet", Path(scratch) / "predictions.npy"
        rows.to_parquet(given)
        done = subprocess.run(
            [sys.executable, "-m", __name__, str(folder), use_case, str(given), str(answer)],
            cwd=code,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(code), str(PROJECT)])},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise TrackingError(
                f"A version of {use_case} was registered with other code than the project has now, and by "
                f"its own it does not predict for these rows: {said}. If requests have other columns than "
                "then, give the use case another name."
            )
        predictions: Array = np.load(answer)
        return predictions


def _sources(root: Path, use_case: str) -> dict[str, bytes]:
    places = [root / "usecases", root / "usecases" / use_case]
    files = [*places[0].glob("*.py"), *places[1].rglob("*.py")]
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in files}


def _main(folder: str, use_case: str, given: str, answer: str) -> None:
    import mlflow.sklearn
    import pandas as pd

    import usecases

    model = mlflow.sklearn.load_model(folder)
    np.save(answer, usecases.load(use_case).predict(model, pd.read_parquet(given)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
