"""The model registry: versions of a use case's model, which of them is champion, and what each was made of.

The registered model has the use case's name. The alias `champion` names the version that is to be served;
`challenger` the newest version that a gate kept from it. A version's files hold, beside the model,
`provenance.json`, `profile.json` and `validation.parquet` (request columns, target and prediction).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import TrackingError
from settings import PROJECT

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models.signature import ModelSignature

CHAMPION = "champion"
CHALLENGER = "challenger"
EXTRA = "extra_files"
"""Folder, in a version's files, of what MLflow did not put there."""
JUDGEMENTS = "judgements.json"
"""What it is called among the artifacts of the MLflow run that the version came from."""
PREDICTION = "prediction"
"""Column of `validation.parquet` with the model's predictions."""

_FETCHED = "registered_model_meta"


@dataclass(frozen=True)
class Version:
    """One registered model version."""

    name: str
    number: int
    run: str
    """MLflow run that logged it."""
    source: str
    """URI that MLflow loads it from."""
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Loaded:
    """A registered model version with everything that was kept beside it."""

    version: Version
    model: Any
    """Fitted scikit-learn pipeline over request columns."""
    provenance: dict[str, Any]
    profile: dict[str, Any]
    validation: pd.DataFrame
    """Validation rows: request columns, target, `prediction`."""


def register(
    name: str,
    model: Any,
    validation: pd.DataFrame,
    *,
    provenance: Mapping[str, Any],
    profile: Mapping[str, Any],
    trusted_types: list[str],
    identity: str,
    description: str,
) -> Version:
    """Log `model` into the active MLflow run and register it.

    `trusted_types` are those that loading the model builds; it is stored as data, not as code.
    The same `identity` is registered once: asking again returns the version that has it, so that a
    training that was killed after this point, or is run again, adds nothing. MLflow shows the `description`,
    Markdown, on the version's page.
    """
    existing = [version for version in versions(name) if version.tags.get("identity") == identity]
    if existing:
        return existing[0]

    import mlflow
    import mlflow.sklearn

    # Not the target, which whoever asks for a prediction does not have.
    requests = validation[list(profile["columns"])]
    with tempfile.TemporaryDirectory() as folder:
        files = _write_files(Path(folder), provenance, profile, validation)
        logged = mlflow.sklearn.log_model(
            model,
            name=name,
            serialization_format="skops",
            skops_trusted_types=trusted_types,
            signature=_signature(requests, validation[PREDICTION]),
            code_paths=[str(PROJECT / "usecases"), str(PROJECT / "errors.py")],
            pip_requirements=_requirements(),
            extra_files=[str(path) for path in files],
        )
    _ensure_model(name)
    created = _client().create_model_version(
        name,
        source=logged.model_uri,
        run_id=logged.run_id,
        model_id=logged.model_id,
        tags={"identity": identity, **_tags(provenance)},
        description=description,
    )
    return _version(created)


def versions(name: str) -> list[Version]:
    """All versions of `name`, newest first; none when nothing was registered."""
    found = _client().search_model_versions(f"name = '{name}'", order_by=["version_number DESC"])
    return [_version(version) for version in found]


def aliased(name: str, alias: str) -> Version | None:
    """The version that carries `alias`, or None."""
    from mlflow.exceptions import MlflowException

    try:
        return _version(_client().get_model_version_by_alias(name, alias))
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def champion(name: str) -> Version | None:
    """The champion of `name`, or None."""
    return aliased(name, CHAMPION)


def find(name: str, which: str) -> Version:
    """The version that a person asked for: a number, or an alias such as `champion`.

    Raises:
        TrackingError: there is no such version.
    """
    from mlflow.exceptions import MlflowException

    if not which.isdigit():
        version = aliased(name, which)
        if version is None:
            raise TrackingError(f"{name} has no {which} yet. Train one: python run.py train {name}")
        return version
    try:
        return _version(_client().get_model_version(name, which))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        there = ", ".join(str(version.number) for version in reversed(versions(name))) or "none"
        raise TrackingError(f"{name} has no version {which}; there are: {there}.") from error


def crown(version: Version) -> None:
    """Make `version` champion; it is no longer challenger."""
    _client().set_registered_model_alias(version.name, CHAMPION, str(version.number))
    challenger = aliased(version.name, CHALLENGER)
    if challenger is not None and challenger.number == version.number:
        _client().delete_registered_model_alias(version.name, CHALLENGER)


def challenge(version: Version) -> None:
    """Mark `version` as the newest that did not become champion."""
    _client().set_registered_model_alias(version.name, CHALLENGER, str(version.number))


def provenance(version: Version) -> dict[str, Any]:
    """Where the version comes from; its model is not loaded.

    Raises:
        TrackingError: its files are gone or damaged.
    """
    with _reading(version):
        return _json(_extra(version, "provenance.json"))


def profile(version: Version) -> dict[str, Any]:
    """What requests looked like at training time.

    Raises:
        TrackingError: its files are gone or damaged.
    """
    with _reading(version):
        return _json(_extra(version, "profile.json"))


def validation(version: Version) -> pd.DataFrame:
    """The validation rows alone: request columns, target, `prediction`.

    Raises:
        TrackingError: its files are gone or damaged.
    """
    import pandas as pd

    with _reading(version):
        return pd.read_parquet(_extra(version, "validation.parquet"))


def load(version: Version, files: Path | None = None) -> Loaded:
    """The model with its provenance, profile and validation rows; from its `files`, if they are here already.

    Raises:
        TrackingError: its files are gone or damaged.
    """
    import mlflow.sklearn
    import pandas as pd

    with _reading(version):
        folder = files or _download(version.source)
        return Loaded(
            provenance=_json(folder / EXTRA / "provenance.json"),
            profile=_json(folder / EXTRA / "profile.json"),
            version=version,
            model=mlflow.sklearn.load_model(str(folder)),
            validation=pd.read_parquet(folder / EXTRA / "validation.parquet"),
        )


def folder(version: Version) -> Path:
    """The version's files, on this machine.

    Raises:
        TrackingError: they are gone or damaged.
    """
    with _reading(version):
        return _download(version.source)


def digest(version: Version) -> str:
    """SHA-256 over names and bytes of the version's files.

    Raises:
        TrackingError: its files are gone.
    """
    with _reading(version), tempfile.TemporaryDirectory() as folder:
        return digest_of(_download(version.source, folder))


def digest_of(folder: Path) -> str:
    """The same of any folder.

    Without what using a model adds: compiled code, and the name that MLflow notes whenever it fetches one.
    """
    total = hashlib.sha256()
    files = (path for path in folder.rglob("*") if path.is_file())
    for path in sorted(path for path in files if path.suffix != ".pyc" and path.name != _FETCHED):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{content}  {path.relative_to(folder).as_posix()}\n".encode())
    return total.hexdigest()


def attach(version: Version, name: str, text: str) -> None:
    """Put `text` as the file `name` among the artifacts of the run that made the version."""
    _client().log_text(version.run, text, name)


def attached(version: Version, name: str) -> str:
    """What `attach` put there.

    Raises:
        TrackingError: it is not there.
    """
    with _reading(version):
        return _download(f"runs:/{version.run}/{name}").read_text()


def judgements(version: Version) -> list[dict[str, Any]]:
    """What gates said of the version each time that it was judged, the newest last; nothing of old versions.

    Raises:
        TrackingError: it cannot be read.
    """
    with _reading(version):
        if all(file.path != JUDGEMENTS for file in _client().list_artifacts(version.run)):
            return []
        found: list[dict[str, Any]] = json.loads(attached(version, JUDGEMENTS))
        return found


def add_judgement(version: Version, judgement: dict[str, Any]) -> None:
    """Note what gates said of the version, unless it is what they said last."""
    before = judgements(version)
    if before[-1:] != [judgement]:
        attach(version, JUDGEMENTS, json.dumps([*before, judgement], indent=2))


@contextmanager
def _reading(version: Version) -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (OSError, MlflowException, json.JSONDecodeError) as error:
        raise _damaged(version, error) from error


def _damaged(version: Version, error: Exception) -> TrackingError:
    return TrackingError(
        f"{version.name} version {version.number} cannot be loaded from {version.source}: {error}. "
        f"Train anew: python run.py train {version.name}"
    )


def _download(uri: str, folder: str | None = None) -> Path:
    """Where it is on this machine: in `folder`, or if none is given where it was, when it was here."""
    import mlflow.artifacts

    return Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder))


def _extra(version: Version, name: str) -> Path:
    """One of the files that MLflow did not put there; the model is not fetched with it."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    files: Any = get_artifact_repository(version.source)
    return Path(files.download_artifacts(f"{EXTRA}/{name}"))


def _json(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def _write_files(
    folder: Path, provenance: Mapping[str, Any], profile: Mapping[str, Any], validation: pd.DataFrame
) -> list[Path]:
    paths = [folder / "provenance.json", folder / "profile.json", folder / "validation.parquet"]
    paths[0].write_text(json.dumps(provenance, indent=2, sort_keys=True, default=str))
    paths[1].write_text(json.dumps(profile))
    validation.to_parquet(paths[2], index=False)
    return paths


def _signature(requests: pd.DataFrame, predictions: pd.Series) -> ModelSignature:
    import warnings

    from mlflow.models import infer_signature

    with warnings.catch_warnings():
        # Whole numbers could not be missing, it says; the request model rules on that, strictly.
        warnings.filterwarnings("ignore", "Hint: Inferred schema contains integer column", UserWarning)
        return infer_signature(requests.head(100), predictions.head(100))


def _requirements() -> list[str]:
    """What loading the model needs, in the versions that it was trained with.

    Said here, since MLflow would find it out by loading the model once more in a process of its own.
    """
    return [f"{name}=={importlib.metadata.version(name)}" for name in ("scikit-learn", "pandas", "skops")]


def _tags(provenance: Mapping[str, Any]) -> dict[str, str]:
    """The scalar part of the provenance: what one wants to see in the registry's table."""
    return {key: str(value) for key, value in provenance.items() if isinstance(value, str | int | float)}


def _ensure_model(name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        _client().create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _version(version: ModelVersion) -> Version:
    return Version(
        name=version.name,
        number=int(version.version),
        run=version.run_id or "",
        source=version.source or "",
        tags=dict(version.tags),
    )


def _client() -> MlflowClient:
    from mlflow import MlflowClient

    return MlflowClient()
