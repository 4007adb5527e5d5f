"""What goes into the MLflow run of a training: candidates as nested runs, metrics, plots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def log_candidate(name: str, parameters: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """One candidate's parameters and metrics, as a run nested in the active one."""
    import mlflow

    with mlflow.start_run(run_name=name, nested=True):
        mlflow.set_tag("candidate", name)
        mlflow.log_params(dict(parameters))
        mlflow.log_metrics(dict(metrics))


def log_training(parameters: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """Parameters and metrics of the active run."""
    import mlflow

    mlflow.log_params(dict(parameters))
    mlflow.log_metrics(dict(metrics))


def annotate(text: str) -> str:
    """Say in the description of the active run, which is Markdown, what it is; returns the run's id."""
    import mlflow

    mlflow.set_tag("mlflow.note.content", text)
    active = mlflow.active_run()
    assert active is not None, "there is one once a tag was set"
    return str(active.info.run_id)


def log_files(files: Mapping[str, bytes | str]) -> None:
    """Artifacts of the active run, by file name."""
    import tempfile
    from pathlib import Path

    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder) / name
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        mlflow.log_artifacts(folder)
