"""What a model was made of: data, code and environment, as digests that can be compared later."""

from __future__ import annotations

import hashlib
import platform
import re
import subprocess
from collections.abc import Sequence
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydantic import BaseModel, ConfigDict

from errors import DataError
from settings import PROJECT
from usecases import files

if TYPE_CHECKING:
    from upath import UPath

LOCK = PROJECT / "requirements.txt"
# The folders whose code decides what comes out of a training.
_CODE = ("usecases", "training", "steps", "pipelines")
_DIGEST = re.compile(r"[0-9a-f]{64}")
UPLOADS = "data"
"""Folder of a store under which each file lies in a folder that is named by the SHA-256 of its bytes."""


class Fingerprint(BaseModel):
    """Digests of everything that a training depends on; equal fingerprints give equal models."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: dict[str, str]
    """File name → SHA-256 of its bytes; `etag:…` where a store gives one."""
    code: str
    """SHA-256 over the project's training code, as it lies on disk."""
    commit: str
    """Git commit of the project, `+changes` behind it when the tree differs; `unknown` outside git."""
    lock: str
    """SHA-256 of requirements.txt."""
    python: str
    """Python's version and the machine's architecture: both can change the last bits of a float."""

    def differences(self, other: Fingerprint) -> list[str]:
        """What differs between two fingerprints, a line each; none when they are equal."""
        lines = []
        for name in sorted(self.data.keys() | other.data.keys()):
            then, now = self.data.get(name), other.data.get(name)
            if then != now:
                lines.append(f"data: {name} was {_short(then)}, is {_short(now)}")
        for part in ("code", "lock", "python"):
            then, now = getattr(self, part), getattr(other, part)
            if then != now:
                about = f" (commit {self.commit}, now {other.commit})" if part == "code" else ""
                lines.append(f"{part}: was {_short(then)}, is {_short(now)}{about}")
        return lines


def take(paths: Sequence[UPath], use_case: str, known: dict[str, str] | None = None) -> Fingerprint:
    """Fingerprint of a training on the data files `paths` with the code and environment at hand.

    `known` is for who asks again and again: file as it lay on the disk → digest, both kept and used, so that
    a file of this machine is read once for as long as it is not touched.

    Raises:
        DataError: two files have the same name, or one cannot be read.
    """
    return Fingerprint(
        data=of_files(paths, known),
        code=of_code(use_case),
        commit=commit(),
        lock=of_file(LOCK),
        python=f"{platform.python_version()} {platform.machine()}",
    )


def of_file(path: UPath | Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(cast(BufferedReader, file), "sha256").hexdigest()


def of_data(path: UPath, known: dict[str, str] | None = None) -> str:
    """What says that a data file is still the same: the SHA-256 of its bytes where that is cheap.

    Of an uploaded file it is in the path. Others that are not on this machine may be large: the store's ETag
    does, with the size, and only without one the bytes are read.

    Raises:
        DataError: the file cannot be read.
    """
    remote = not files.is_here(path)
    if remote and path.parent.parent.name == UPLOADS and _DIGEST.fullmatch(path.parent.name):
        return path.parent.name
    with files.reaching(path):
        if remote:
            return files.etag(path) or of_file(path)
        if known is None:
            return of_file(path)
        lies = _as_it_lies(path)
        if lies not in known:
            known[lies] = of_file(path)
        return known[lies]


def of_files(paths: Sequence[UPath], known: dict[str, str] | None = None) -> dict[str, str]:
    """File name → SHA-256, or ETag (`of_data`).

    Raises:
        DataError: two files have the same name, or one cannot be read.
    """
    if len({path.name for path in paths}) < len(paths):
        raise DataError(
            "Data files must differ in name, since they are recorded by it; got "
            + ", ".join(sorted(str(path) for path in paths))
        )
    return {path.name: of_data(path, known) for path in paths}


def of_code(use_case: str) -> str:
    """SHA-256 over the Python files that decide what a training of `use_case` gives."""
    digest = hashlib.sha256()
    paths = [path for folder in _CODE for path in (PROJECT / folder).rglob("*.py")]
    for path in sorted(path.relative_to(PROJECT) for path in paths):
        foreign = path.parts[0] == "usecases" and len(path.parts) > 2 and path.parts[1] != use_case
        if not foreign:
            digest.update(f"{path.as_posix()}\0".encode() + (PROJECT / path).read_bytes())
    return digest.hexdigest()


def commit() -> str:
    """Git commit of the project, with `+changes` when tracked files differ from it."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD").strip()
        changed = _git("status", "--porcelain", "--untracked-files=no").strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}+changes" if changed else head


def _as_it_lies(path: UPath) -> str:
    """Changes with every write to the file; its times of modification can be set, that of change cannot."""
    found = path.stat()
    return f"{path} {found.st_ino} {found.st_size} {found.st_ctime_ns}"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PROJECT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _short(digest: str | None) -> str:
    return "absent" if digest is None else digest[:12] if len(digest) == 64 else digest
