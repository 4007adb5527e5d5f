"""Free what nothing needs any more: old runs, their artifacts, models and logs, superseded Bentos."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import usecases
from db import databases as places
from db.session import advisory_lock
from releases.local import TARGET
from serving.package import discard
from upkeep.backup import LOCK
from upkeep.needs import YOUNG, Plan, plan

if TYPE_CHECKING:
    from db.databases import Databases
    from settings import Settings
    from upkeep.keep import Keep


def collect(settings: Settings, databases: Databases, keep: Keep, *, dry_run: bool) -> tuple[Plan, int]:
    """Free what can go; with `dry_run` only say it. Returns what it was, and its size in bytes.

    The stack is open. Killed on the way, it leaves nothing that is named and not there: rows go before files,
    and the next time frees what is left.

    Raises:
        DatabaseError: a training, a release, a backup or another collection is under way.
    """
    with _alone(settings, databases):
        found = plan(settings.home, databases, keep, datetime.now(UTC))
        size = found.bytes
        if not dry_run:
            for bento in found.bentos.values():
                discard(bento)
            _free_tracking(found)
            _free_metadata(found)
            _free_files(settings.home, found.paths)
        return found, size


@contextmanager
def _alone(settings: Settings, databases: Databases) -> Iterator[None]:
    """Nothing is trained, released or saved meanwhile: a step may take over what an old one made."""
    with ExitStack() as held:
        held.enter_context(advisory_lock(places.text(places.reach(settings)), LOCK))
        for name in usecases.names():
            held.enter_context(advisory_lock(databases.modelyard, f"train {name}"))
            held.enter_context(advisory_lock(databases.modelyard, f"release {name} {TARGET}"))
        yield


def _free_tracking(found: Plan) -> None:
    """Versions, logged models and runs of MLflow.

    `mlflow gc` would do as well, but that ends everything that anybody has deleted and may want back.
    """
    from mlflow import MlflowClient
    from mlflow.tracking._tracking_service.utils import _get_store

    for version in found.versions:
        MlflowClient().delete_model_version(version.name, str(version.number))
    store: Any = _get_store()  # type: ignore[no-untyped-call]
    for model in found.logged_models:
        store._hard_delete_logged_model(model)
    for run in found.mlflow_runs:
        store._hard_delete_run(run)


def _free_metadata(found: Plan) -> None:
    """Runs, artifact versions and unused snapshots of ZenML."""
    from zenml.client import Client

    client = Client()
    for run in found.runs:
        client.zen_store.delete_run(UUID(run))
    for artifact in found.artifacts:
        client.zen_store.delete_artifact_version(UUID(artifact))
    client.prune_snapshots(older_than=datetime.now(UTC).replace(tzinfo=None) - YOUNG, apply=True)


def _free_files(home: Path, paths: Sequence[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        folder = path.parent
        while home in folder.parents and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent
