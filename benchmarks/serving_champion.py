"""The champion of the home folder, as each server wants it, and real rows to ask."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

if TYPE_CHECKING:
    import pandas as pd

PROJECT = Path(__file__).resolve().parents[1]
ROWS = 500


@dataclass(frozen=True)
class Champion:
    """One model version, in the forms in which it is served."""

    version: int
    kind: str
    """Name of the candidate that won."""
    score: float
    folder: Path
    """Holds scikit-learn's pipeline, and the model with an ONNX graph."""
    mlflow: Path
    """The model as MLflow has it."""
    bento: Path
    rows: list[dict[str, Any]]
    """Requests out of the validation data, as JSON values."""
    predictions: list[float]
    """What the pipeline predicts for them in this process."""
    database: str
    """URL of the project's database, without the password, which is in this process's PGPASSWORD."""

    @property
    def sources(self) -> Path:
        """Folder of the Bento's code and model."""
        return self.bento / "src"


def prepare(folder: Path) -> Champion:
    """The champion for taxi; trained as `run.py train taxi` does it when there is none."""
    import mlflow.artifacts
    import skops.io

    import settings
    import usecases
    from benchmarks import serving_onnx
    from benchmarks.serving_peers import compiled_model, pipeline
    from releases.package import package
    from stacks import session
    from tracking import registry

    use_case = usecases.load("taxi")
    read = settings.read()
    opened = session.open_stack(read, "local", tracking=True).databases
    assert opened is not None, "The local stack has databases of its own."
    session.open_tracking(opened)
    version = registry.champion(use_case.name)
    if version is None:
        subprocess.run([sys.executable, "run.py", "train", use_case.name], cwd=PROJECT, check=True)
        version = registry.champion(use_case.name)
    assert version is not None, "A training without an error leaves a champion."
    loaded = registry.load(version)
    skops.io.dump(loaded.model, folder / pipeline.FILE)
    candidate = version.tags["candidate"]
    serving_onnx.write(use_case, loaded.model, candidate, folder / compiled_model.FOLDER)
    served = folder / "mlflow"
    served.mkdir()
    rows = _rows(use_case, loaded.validation)
    frame = use_case.request_frame([use_case.request.model_validate_json(json.dumps(row)) for row in rows])
    return Champion(
        version=version.number,
        kind=candidate,
        score=float(version.tags["score"]),
        folder=folder,
        mlflow=Path(mlflow.artifacts.download_artifacts(version.source, dst_path=str(served))),
        bento=package(use_case.name, version.number, read.home)[1].path,
        rows=rows,
        predictions=use_case.predict(loaded.model, frame).tolist(),
        database=opened.modelyard,
    )


def _rows(use_case: Any, validation: pd.DataFrame) -> list[dict[str, Any]]:
    """`ROWS` valid requests, drawn evenly; a meter's nonsense is no request."""
    from serving import rows

    step = max(len(validation) // (2 * ROWS), 1)
    valid = []
    for values in rows.requests(use_case, validation.iloc[::step]):
        try:
            use_case.request.model_validate_json(json.dumps(values))
        except ValidationError:
            continue
        valid.append(values)
    return valid[:: max(len(valid) // ROWS, 1)][:ROWS]
