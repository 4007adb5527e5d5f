"""Backups of the databases in the platform's bucket: `python -m upkeep.databases save|list|restore NAME`.

    backups/<UTC time>/zenml.dump, mlflow.dump, modelyard.dump, manifest.json

The manifest comes last: a backup without one is not whole, is not listed, and the next save clears it away.
Artifacts are in the same bucket, and stay where they are.
"""

from __future__ import annotations

import argparse
import io
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

import settings
from db import audit, databases, dump, predictions
from db.migrate import upgrade
from db.session import advisory_lock, connect
from errors import ModelyardError, UsageError
from stacks import bucket, session
from stacks.platform import credentials, migrate, process
from upkeep import archive
from upkeep.backup import LOCK, versions
from upkeep.restore import check_rows, check_versions, paths

if TYPE_CHECKING:
    from settings import Settings
    from stacks.bucket import Bucket

FOLDER = "backups/"


class Backup(archive.Manifest):
    """What is in a backup; `home` is the bucket, where paths in the databases begin."""

    key: str
    """Of ZenML's secrets, by its name."""


def save(settings: Settings) -> tuple[str, Backup]:
    """Write the databases, as they are together at one moment, into the bucket; returns the backup's name.

    Work may go on. Of earlier backups so many are kept as the settings say, of the newest; then days of the
    prediction log that are older than the settings say are dropped.

    Raises:
        UsageError: the settings name no bucket.
        DatabaseError: PostgreSQL cannot be read, or a backup, a restore or gc is under way.
        StackError: the bucket cannot be used.
    """
    store = _store(settings)
    databases.wait(settings, migrate.WAIT_SECONDS)
    found, server = databases.prepare(settings), databases.reach(settings)
    urls = {"modelyard": found.modelyard, "zenml": found.zenml, "mlflow": found.mlflow}
    made = datetime.now(UTC)
    name = made.strftime("%Y-%m-%dT%H-%M-%SZ")
    with advisory_lock(databases.text(server), LOCK), bucket.in_words(store), ExitStack() as held:
        snapshots = {name: held.enter_context(dump.frozen(url)) for name, url in urls.items()}
        holds, members = {}, {}
        for database, (frozen, snapshot) in snapshots.items():
            holds[database] = archive.Database(revision=dump.revision(frozen), rows=dump.count(frozen))
            file = f"{database}.dump"
            with dump.dumped(urls[database], snapshot) as content:
                hashed = archive.Hashing(content)
                store.write(f"{FOLDER}{name}/{file}", hashed)
            members[file] = hashed.member()
        manifest = Backup(
            format=archive.FORMAT,
            created_at=made,
            home=str(settings.artifacts),
            versions={**versions(), "postgresql": str(dump.version(server))},
            databases=holds,
            members=members,
            key=session.name_of_key(session.encryption_key(settings)),
        )
        store.write(_manifest(name), io.BytesIO(manifest.model_dump_json(indent=2).encode()))
        _clear(store, settings.keep_backups)
    predictions.drop_older(found.modelyard, settings.keep_predictions)
    return name, manifest


def saved(settings: Settings) -> dict[str, Backup]:
    """Every whole backup by its name, the oldest first.

    Raises:
        UsageError: the settings name no bucket.
        StackError: the bucket cannot be used.
    """
    store = _store(settings)
    with bucket.in_words(store):
        return {name: _read(store, name) for name in _whole(store)}


def restore(settings: Settings, name: str) -> Backup:
    """Put the databases of a backup in the place of those that are here; servers may run, and go on.

    All is restored and checked beside what is here; only then all three databases change places in one
    transaction, which ends whatever is at work on them. The login is the one of the settings afterwards.

    Raises:
        UsageError: there is no such backup, or it does not fit what is installed or the key used here.
        ModelyardError: it is damaged.
        DatabaseError: PostgreSQL does not take it, or a backup, another restore or gc is under way.
        StackError: the bucket cannot be used.
    """
    store = _store(settings)
    with bucket.in_words(store):
        manifest = _read(store, name)
    databases.wait(settings, migrate.WAIT_SECONDS)
    server = databases.reach(settings)
    check_versions(manifest, server)
    if manifest.key != session.name_of_key(session.encryption_key(settings)):
        raise UsageError(
            f"The backup {name} has ZenML's secrets, encrypted with another key than the one used here. "
            "Restore it with that one in MODELYARD_ENCRYPTION_KEY."
        )
    with advisory_lock(databases.text(server), LOCK):
        dump.drop_beside(server)
        try:
            for database, url in dump.make_beside(server).items():
                with bucket.in_words(store):
                    _fill(store, name, manifest, database, url)
                dump.replace_text(url, paths(manifest.home, str(settings.artifacts)))
                if database == "modelyard":
                    upgrade(url)
                    audit.protect_restored(url)
                if database == "zenml":
                    with connect(url) as connection:
                        session.note_key(connection, manifest.key)
            dump.put_in_place(server, lambda: None, end_others=True)
        finally:
            dump.drop_beside(server)
    login, _ = credentials.ensure(settings)
    migrate.make_tables(settings, login)
    return manifest


def _store(settings: Settings) -> Bucket:
    if settings.artifacts is None:
        raise UsageError(
            "These backups go into a bucket, and MODELYARD_ARTIFACTS names none. "
            "What is on one machine is saved by: python run.py backup FILE"
        )
    return bucket.connect(settings.artifacts)


def _fill(store: Bucket, name: str, manifest: Backup, database: str, url: str) -> None:
    file = f"{database}.dump"
    content = store.read(f"{FOLDER}{name}/{file}")
    if content is None:
        raise ModelyardError(f"The backup {name} is damaged: {file} is missing. Nothing was changed.")
    with dump.restoring(url) as target:
        found = archive.copy(content, target)
    if found != manifest.members[file]:
        raise ModelyardError(f"The backup {name} is damaged: {file} is not what it was. Nothing was changed.")
    check_rows(url, manifest.databases[database].rows)


def _manifest(name: str) -> str:
    return f"{FOLDER}{name}/{archive.MANIFEST}"


def _whole(store: Bucket) -> list[str]:
    """Names of the whole backups, the oldest first."""
    keys = store.keys(FOLDER)
    return sorted(key.split("/")[1] for key in keys if key.endswith(f"/{archive.MANIFEST}"))


def _read(store: Bucket, name: str) -> Backup:
    content = store.read(_manifest(name))
    if content is None:
        there = ", ".join(_whole(store)) or "none yet"
        raise UsageError(f"There is no backup {name!r} in {store.address}; there are: {there}.")
    try:
        manifest = Backup.model_validate_json(content.read())
    except ValidationError:
        raise UsageError(f"The backup {name} was made by another Modelyard: it is of another form.") from None
    if manifest.format != archive.FORMAT:
        raise UsageError(
            f"The backup {name} has format {manifest.format}; this Modelyard reads {archive.FORMAT}."
        )
    return manifest


def _clear(store: Bucket, keep: int) -> None:
    """Delete all but the newest whole backups, and what killed commands have left."""
    kept = _whole(store)[-keep:]
    store.abandon(FOLDER)
    # A manifest first: what is only partly there must not look whole.
    for key in sorted(store.keys(FOLDER), key=lambda key: not key.endswith(archive.MANIFEST)):
        if key.split("/")[1] not in kept:
            store.delete(key)


def main() -> None:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(prog="upkeep.databases", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("save", help="Write a backup, and delete old ones.")
    commands.add_parser("list", help="Show the backups there are.")
    commands.add_parser("restore", help="Put a backup in the place of what is there.").add_argument("name")
    arguments = parser.parse_args()
    given = settings.read()
    match arguments.command:
        case "save":
            name, manifest = save(given)
            sys.stdout.write(f"Saved {_line(name, manifest)}\n")
        case "list":
            lines = [_line(name, manifest) for name, manifest in saved(given).items()]
            sys.stdout.write("\n".join(lines or ["There are no backups yet."]) + "\n")
        case "restore":
            manifest = restore(given, arguments.name)
            sys.stdout.write(f"Restored {_line(arguments.name, manifest)}\n")


def _line(name: str, manifest: Backup) -> str:
    size = sum(member.bytes for member in manifest.members.values()) / 1e6
    rows = sum(sum(database.rows.values()) for database in manifest.databases.values())
    return f"{name}: {size:,.1f} MB, {rows:,} rows, Modelyard {manifest.versions['modelyard']}"


if __name__ == "__main__":
    process.run(main)
