"""One file with many in it: a tar whose last member, the manifest, says what each of the others must be.

Any `tar` can look into it. A manifest at the end means that an archive with one was written to its end.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from errors import ModelyardError, UsageError

MANIFEST = "manifest.json"
FORMAT = 1
_CHUNK = 1 << 20


class Readable(Protocol):
    """What can be read once, from its beginning to its end."""

    def read(self, size: int = -1, /) -> bytes: ...


class Member(BaseModel):
    """What one file must be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: int
    sha256: str


class Database(BaseModel):
    """What one database must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    revision: str | None
    """Of its tables."""
    rows: dict[str, int]
    """By table."""


class Manifest(BaseModel):
    """What is in an archive, and what made it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    created_at: datetime
    home: str
    """Folder that paths in the databases begin with."""
    versions: dict[str, str]
    """Of modelyard, zenml, mlflow and postgresql."""
    databases: dict[str, Database]
    members: dict[str, Member]


class Writer:
    """An archive that is being written."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.members: dict[str, Member] = {}

    def add(self, path: Path, name: str) -> None:
        """Add a file.

        Raises:
            ModelyardError: it became shorter while it was read.
        """
        with path.open("rb") as file:
            info = self._tar.gettarinfo(arcname=name, fileobj=file)
            info.mtime = int(info.mtime)  # a fraction would take a header of its own
            hashed = Hashing(file)
            try:
                self._tar.addfile(info, hashed)
            except OSError as error:
                if file.tell() < info.size and not error.errno:
                    raise ModelyardError(f"{path} was changed while it was read. Try again.") from error
                raise
        self.members[name] = hashed.member()

    def finish(self, **facts: Any) -> Manifest:
        """Add the manifest with these facts."""
        manifest = Manifest(format=FORMAT, members=self.members, **facts)
        content = manifest.model_dump_json(indent=2).encode()
        info = tarfile.TarInfo(MANIFEST)
        info.size = len(content)
        info.mtime = int(manifest.created_at.timestamp())
        self._tar.addfile(info, BytesIO(content))
        return manifest


@contextmanager
def write(path: Path) -> Iterator[Writer]:
    """Write an archive that only its owner can read; it has its name once it is whole and on the disk.

    Raises:
        UsageError: there is such a file already, or it can't be made there.
        ModelyardError: it cannot be written, for instance since the disk is full.
    """
    if path.exists():
        raise UsageError(f"{path} is there already. Name another file, or delete it first.")
    draft = path.with_name(f"{path.name}.part")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise UsageError(f"{path} cannot be made: {error.strerror}.") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            with tarfile.open(fileobj=file, mode="w") as tar:
                yield Writer(tar)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except OSError as error:
        raise ModelyardError(f"{path} cannot be written: {error}") from error
    finally:
        draft.unlink(missing_ok=True)


def read_manifest(path: Path) -> Manifest:
    """The manifest of an archive.

    Raises:
        UsageError: the file is no archive of ours, isn't whole, or is of a later format.
    """
    with _open(path) as tar:
        try:
            found = tar.extractfile(MANIFEST)
            content = found.read() if found else b""
        except (KeyError, tarfile.TarError) as error:
            raise UsageError(f"{path} is no whole backup: it has no manifest at its end.") from error
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        raise UsageError(f"{path} was made by another Modelyard: its manifest is of another form.") from error
    if manifest.format != FORMAT:
        raise UsageError(f"{path} has format {manifest.format}; this Modelyard reads format {FORMAT}.")
    return manifest


def unpack(path: Path, manifest: Manifest, folder: Path) -> None:
    """Write every file of an archive below `folder`, each as the manifest says it must be.

    Raises:
        ModelyardError: one is missing, damaged or unknown.
    """
    left = dict(manifest.members)
    with _open(path) as tar:
        for info in tar:
            if info.name == MANIFEST:
                continue
            expected = left.pop(info.name, None)
            if expected is None or not info.isreg() or not _below(info.name):
                raise ModelyardError(f"{path} is damaged: {info.name!r} does not belong in it.")
            target = folder / info.name
            target.parent.mkdir(parents=True, exist_ok=True)
            content = tar.extractfile(info)
            assert content is not None
            with target.open("wb") as file:
                found = copy(content, file)
            if found != expected:
                raise ModelyardError(
                    f"{path} is damaged: {info.name!r} is not what it was. Nothing was changed."
                )
    if left:
        raise ModelyardError(f"{path} is damaged: {next(iter(left))!r} is missing. Nothing was changed.")


@contextmanager
def _open(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, "r:") as tar:
            yield tar
    except FileNotFoundError as error:
        raise UsageError(f"There is no file {path}.") from error
    except tarfile.TarError as error:
        raise UsageError(
            f"{path} is no backup of Modelyard, or only the beginning of one: {error}."
        ) from error


def _below(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def copy(source: Readable, target: IO[bytes]) -> Member:
    """Copy what comes; returns what it was."""
    hashed = Hashing(source)
    while chunk := hashed.read(_CHUNK):
        target.write(chunk)
    return hashed.member()


class Hashing:
    """A file that sums up what is read from it."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._sum = hashlib.sha256()
        self._bytes = 0

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size)
        self._sum.update(chunk)
        self._bytes += len(chunk)
        return chunk

    def member(self) -> Member:
        """What was read so far."""
        return Member(bytes=self._bytes, sha256=self._sum.hexdigest())
