"""`backup`, `restore` and `gc`: what the past is worth, in a file, back from it, or given up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import UsageError

if TYPE_CHECKING:
    from console.progress import Progress
    from settings import Settings
    from upkeep.archive import Manifest

Document = dict[str, Any]

_KEY = "ZENML_SECRETS_STORE_ENCRYPTION_KEY"


def backup(settings: Settings, progress: Progress, file: Path) -> Document:
    """Save databases and artifacts."""
    from upkeep.backup import backup as save

    file = file.expanduser().absolute()
    with progress.stage("databases and artifacts"):
        manifest = save(settings, file)
    return _archived(file, manifest)


def restore(settings: Settings, progress: Progress, file: Path, *, replace: bool) -> Document:
    """Put a backup in the place of what is here.

    Raises:
        UsageError: something runs on what is here.
    """
    from stacks.platform import supervisor
    from upkeep.restore import restore as put_back

    if supervisor.is_running(settings.home):
        raise UsageError("The platform is up. Stop it before its data are replaced: python run.py down")
    file = file.expanduser().absolute()
    with progress.stage("databases and artifacts"):
        manifest = put_back(settings, file, replace=replace)
    return _archived(file, manifest)


def collect(settings: Settings, stack: str, progress: Progress, keep: str, *, dry_run: bool) -> Document:
    """Free what nothing needs."""
    from upkeep.keep import parse

    kept = parse(keep)
    with progress.stage("PostgreSQL, ZenML and MLflow"):
        from db import predictions
        from db.migrate import upgrade
        from stacks import session

        session.require_local(stack, "gc")
        databases = session.open_stack(settings, stack).databases
        assert databases is not None
        session.open_tracking(databases)
        upgrade(databases.modelyard)
    with progress.stage("what nothing needs"):
        from upkeep.collect import collect as free

        found, size = free(settings, databases, kept, dry_run=dry_run)
        days = predictions.drop_older(databases.modelyard, settings.keep_predictions, dry_run=dry_run)
    return {
        "dry_run": dry_run,
        "runs": sorted(found.runs.values()),
        "artifacts": len(found.artifacts),
        "versions": [f"{version.name} {version.number}" for version in found.versions],
        "mlflow_runs": len(found.mlflow_runs),
        "logged_models": len(found.logged_models),
        "bentos": list(found.bentos),
        "prediction_days": days,
        "paths": [str(path) for path in found.paths],
        "bytes": size,
        "stays": dict(found.stays),
    }


def import_zenml(settings: Settings, progress: Progress, source: str) -> Document:
    """Move an existing ZenML store here.

    Raises:
        UsageError: it cannot be moved, or there is something here already.
    """
    import os

    from stacks import session
    from stacks.platform import credentials, supervisor

    if supervisor.is_running(settings.home):
        raise UsageError("The platform is up. Stop it before a store is moved into its: python run.py down")
    source_key = os.environ.get(_KEY)
    with progress.stage("PostgreSQL and ZenML"):
        databases = session.connect(settings)
        session.open_store(databases)
        from stacks.postgresql import TransferRefused, transfer

        credentials.forget_zenml()
    with progress.stage("rows"):
        try:
            rows = transfer(source, databases.zenml, source_key=source_key, target_key=os.environ[_KEY])
        except TransferRefused as error:
            raise UsageError(str(error)) from error
    return {"rows": rows, "project": session.settle_in()}


def _archived(file: Path, manifest: Manifest) -> Document:
    files = [member for name, member in manifest.members.items() if name.startswith("home/")]
    return {
        "file": str(file),
        "bytes": file.stat().st_size,
        "created_at": manifest.created_at.isoformat(timespec="seconds"),
        "home": manifest.home,
        "versions": manifest.versions,
        "rows": {name: sum(found.rows.values()) for name, found in manifest.databases.items()},
        "files": len(files),
    }
