"""Data files of this machine put where pods can read them."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

from errors import DataError
from training.fingerprint import UPLOADS, of_file
from usecases import files as data_files

if TYPE_CHECKING:
    from upath import UPath

# Bytes. s3fs sends a file of at least twice as many in parts, and holds a few of them at a time.
_PART = 16 * 2**20
_PARTS_AT_ONCE = 3


def upload(files: Sequence[UPath], folder: UPath) -> list[UPath]:
    """Put each file at `folder/data/<SHA-256>/<name>`, unless it is there; returns where they are now.

    Files that are not on this machine stay where they are. An uploaded file is there whole or not at all,
    whoever else uploads it and whenever this process dies. Its digest is in its path, so that a training
    has the same fingerprint as with the file on this machine.

    Raises:
        DataError: a file cannot be read, changed meanwhile, or the store cannot be written to.
    """
    return [_upload(file, folder) if data_files.is_here(file) else file for file in files]


def _upload(file: UPath, folder: UPath) -> UPath:
    with data_files.reaching(file):
        digest, etag = _digests(file)
    target = folder / UPLOADS / digest / file.name
    with data_files.reaching(target, "write"):
        if not _is_there(target, digest, etag):
            _put(file, target)
            if not _is_there(target, digest, etag):
                target.unlink()
                raise DataError(f"{file} changed while it was uploaded. Run it again.")
    return target


def _put(file: UPath, target: UPath) -> None:
    if not data_files.is_here(target):
        # An object appears when its last byte has come.
        parts = {"chunksize": _PART, "max_concurrency": _PARTS_AT_ONCE} if target.protocol == "s3" else {}
        target.fs.put_file(str(file), target.path, **parts)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(str(file), str(draft))
    draft.rename(target)


def _is_there(target: UPath, digest: str, etag: str) -> bool:
    """Whether the content is there already; mostly its ETag saves reading it for that."""
    if data_files.kind(target) != "file":
        return False
    return data_files.etag(target) == etag or of_file(target) == digest


def _digests(file: UPath) -> tuple[str, str]:
    """SHA-256 of a file, and the ETag that S3 gives to what `_put` sends, unless it encrypts that."""
    sha, whole, parts, size = hashlib.sha256(), _md5(), [], 0
    with file.open("rb") as content:
        while part := content.read(_PART):
            size += len(part)
            sha.update(part)
            whole.update(part)
            parts.append(_md5(part).digest())
    mark = whole.hexdigest() if size < 2 * _PART else f"{_md5(b''.join(parts)).hexdigest()}-{len(parts)}"
    return sha.hexdigest(), f"etag:{mark}:{size}"


_md5 = functools.partial(hashlib.md5, usedforsecurity=False)
