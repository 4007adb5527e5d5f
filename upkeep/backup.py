"""Everything that Modelyard knows as one file, taken while it works."""

from __future__ import annotations

import importlib.metadata
import tempfile
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from db import databases, dump
from db.session import advisory_lock
from settings import PROJECT
from upkeep import archive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from settings import Settings
    from upkeep.archive import Manifest

LOCK = "backup, restore or gc"
FOLDERS = ("artifacts", "batches", "bentoml")
"""Of the home folder: what the databases speak of. Downloads, logs and caches can be had again."""
KEY = Path("zenml", "secrets.key")
"""Of the home folder: what ZenML's secrets are encrypted with."""


def backup(settings: Settings, file: Path) -> Manifest:
    """Write databases and artifacts to `file`, as they were together at one moment; work may go on.

    The three databases are seen as they are within the same few milliseconds, MLflow's last: whatever the
    others name is in it. Artifacts are written before they are named and never changed, so those that the
    databases name are all there when the files are copied afterwards.

    Raises:
        UsageError, ModelyardError: the file cannot be written.
        DatabaseError: PostgreSQL cannot be read, or a backup, a restore or gc is under way.
    """
    found, server = databases.prepare(settings), databases.reach(settings)
    urls = {"modelyard": found.modelyard, "zenml": found.zenml, "mlflow": found.mlflow}
    with (
        advisory_lock(databases.text(server), LOCK),
        archive.write(file) as writer,
        tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as folder,
        ExitStack() as held,
    ):
        snapshots = {name: held.enter_context(dump.frozen(url)) for name, url in urls.items()}
        holds = {}
        for name, (frozen, snapshot) in snapshots.items():
            holds[name] = archive.Database(revision=dump.revision(frozen), rows=dump.count(frozen))
            dumped = Path(folder, f"{name}.dump")
            dump.dump(urls[name], snapshot, dumped)
            writer.add(dumped, f"databases/{dumped.name}")
            dumped.unlink()
        for path in _files(settings.home):
            # One that vanishes had a passing name: what the databases name stays.
            with suppress(FileNotFoundError):
                writer.add(path, f"home/{path.relative_to(settings.home).as_posix()}")
        return writer.finish(
            created_at=datetime.now(UTC),
            home=str(settings.home),
            versions={**versions(), "postgresql": str(dump.version(server))},
            databases=holds,
        )


def versions() -> dict[str, str]:
    """Installed versions of what the databases' tables depend on."""
    import tomllib

    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    return {"modelyard": project} | {name: importlib.metadata.version(name) for name in ("zenml", "mlflow")}


def _files(home: Path) -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((home / folder).rglob("*")):
            # Compiled code is made again by whoever runs it.
            if path.is_file() and path.suffix != ".pyc":
                yield path
    if (home / KEY).exists():
        yield home / KEY
