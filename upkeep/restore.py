"""What `backup` wrote, back in its place: checked first, then all of it or nothing."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version

from db import audit, databases, dump
from db import releases as record
from db.migrate import newest, upgrade
from db.session import advisory_lock, connect
from errors import ModelyardError, UsageError
from releases import release
from releases.local import TARGET
from upkeep import archive
from upkeep.backup import KEY, LOCK, versions

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from settings import Settings
    from upkeep.archive import Manifest


def restore(settings: Settings, file: Path, *, replace: bool) -> Manifest:
    """Put the databases and artifacts of `file` in the place of those that are here.

    Everything is unpacked, checked, restored and counted beside what is here; only then all three databases
    change places in one transaction. Killed at any point, the same command does it again from the start.
    Files that are here and not in the backup stay; `gc` frees those of ZenML's artifacts.

    Raises:
        UsageError: the file is no backup, does not fit what is installed here, there is something here
            already and `replace` is false, or somebody is at work on it.
        ModelyardError: the file is damaged.
        DatabaseError: PostgreSQL does not take it, or a backup, another restore or gc is under way.
    """
    manifest = archive.read_manifest(file)
    server = databases.reach(settings)
    check_versions(manifest, server)
    with advisory_lock(databases.text(server), LOCK):
        _make_sure_of_room(server, replace=replace)
        settings.home.mkdir(parents=True, exist_ok=True)
        for leftover in settings.home.glob("restoring-*"):
            shutil.rmtree(leftover)
        with tempfile.TemporaryDirectory(dir=settings.home, prefix="restoring-") as folder:
            _restore(settings.home, server, file, manifest, Path(folder))
    return manifest


def _make_sure_of_room(server: URL, *, replace: bool) -> None:
    here = dump.there(server)
    if here and not replace:
        raise UsageError(
            f"There are databases already: {', '.join(here)}. "
            "To give them up for the backup's, add --replace."
        )
    if "modelyard" in here and (serving := _serving(databases.text(server.set(database="modelyard")))):
        raise UsageError(
            f"Endpoints run on what would be replaced: {', '.join(serving)}. First: python run.py down"
        )
    if users := dump.connected(server):
        raise UsageError(
            "Somebody is at work on what would be replaced:\n  " + "\n  ".join(users) + "\nEnd that first."
        )


def _serving(url: str) -> list[str]:
    """Use cases whose endpoint runs on this machine."""
    upgrade(url)
    return [one.use_case for one in record.all_serving(url, TARGET) if release.is_running(one)]


def _restore(home: Path, server: URL, file: Path, manifest: Manifest, unpacked: Path) -> None:
    archive.unpack(file, manifest, unpacked)
    dump.drop_beside(server)
    try:
        for name, url in dump.make_beside(server).items():
            dump.restore(url, unpacked / "databases" / f"{name}.dump")
            check_rows(url, manifest.databases[name].rows)
            dump.replace_text(url, paths(manifest.home, str(home)))
            if name == "modelyard":
                upgrade(url)
                record.forget_processes(url)
                audit.protect_restored(url)
        _move(unpacked / "home", home)
        dump.put_in_place(server, lambda: _hand_over_key(unpacked / "home" / KEY, home / KEY))
    finally:
        dump.drop_beside(server)


def check_versions(manifest: Manifest, server: URL) -> None:
    """Refuse a backup that what is installed here could not read.

    Older tables of ZenML and of Modelyard are brought up to date by the next command; MLflow's are not.

    Raises:
        UsageError: it could not.
    """
    installed = versions() | {"postgresql": str(dump.version(server))}
    for name, made_with in manifest.versions.items():
        if Version(made_with) > Version(installed[name]):
            raise UsageError(
                f"The backup was made with {name} {made_with}; {installed[name]}, which is here, cannot read "
                f"it. Restore it where {name} is {made_with} or newer."
            )
    ours = manifest.databases["modelyard"].revision
    if ours is not None and ours > newest():
        raise UsageError(
            f"The backup's own tables are of revision {ours}; this Modelyard knows them up to {newest()}. "
            "Restore it with the Modelyard that made it, or a newer one."
        )
    theirs, known = manifest.databases["mlflow"].revision, _mlflow_revision()
    if theirs is not None and theirs != known:
        raise UsageError(
            f"The backup was made with MLflow {manifest.versions['mlflow']}, whose tables are of revision "
            f"{theirs}; MLflow {installed['mlflow']}, installed here, has {known}. Restore it with the "
            f"Modelyard that made it, then: mlflow db upgrade."
        )


def _mlflow_revision() -> str:
    from mlflow.store.db.utils import _get_latest_schema_revision

    return str(_get_latest_schema_revision())  # type: ignore[no-untyped-call]


def check_rows(url: str, rows: dict[str, int]) -> None:
    """Make sure that the database has what was saved.

    Raises:
        ModelyardError: a table has more or fewer rows.
    """
    with connect(url) as connection:
        if wrong := dump.differences(rows, dump.count(connection)):
            raise ModelyardError("What was restored is not what was saved:\n" + "\n".join(wrong))


def paths(old: str, new: str) -> list[tuple[str, str]]:
    """Paths below a folder or bucket as texts have them: plain, and as JSON where that differs."""
    if old == new:
        return []
    pairs = {old: new, _in_json(old): _in_json(new)}
    return [(f"{before}/", f"{after}/") for before, after in pairs.items()]


def _in_json(path: str) -> str:
    return json.dumps(path)[1:-1]


def _move(unpacked: Path, home: Path) -> None:
    """Move the files to where the databases say that they are; each artifact has a folder of its own."""
    for path in sorted(unpacked.rglob("*")):
        relative = path.relative_to(unpacked)
        if path.is_file() and relative != KEY:
            target = home / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)


def _hand_over_key(new: Path, place: Path) -> None:
    if new.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        new.chmod(0o600)
        new.replace(place)
