"""The files of a spool: one writer each, closed by it or, when it is dead, by whoever finds them.

A segment's lock is held by the process that writes it, ships it or closes it for a dead one; the kernel gives
it back when that process dies. Whoever has it finds the segment under its name, or it is gone for good.

    predictions.20261126.1764160000123456.5f0c….open   being written
    predictions.20261126.1764160000123456.5f0c….rows   whole, to be shipped
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

PREDICTIONS = "predictions"
OUTCOMES = "outcomes"
OPEN = ".open"
CLOSED = ".rows"
REFUSED = "refused"
"""Folder beside the segments with rows that the database refused."""

_NAME = re.compile(rf"[a-z]+\.\w+\.(\d+)\.\w+({OPEN}|{CLOSED})")


@dataclass(frozen=True)
class Survey:
    """What a spool's folder holds."""

    closed: list[Path]
    """Oldest first."""
    bytes: int
    """Of segments and refused rows."""
    refused_bytes: int
    oldest: float | None
    """When the oldest segment was begun, seconds since 1970."""


def survey(folder: Path) -> Survey:
    """What is there now; files of other names are not the log's."""
    found = sorted((int(match[1]), path) for path, match in _named(folder))
    refused = sum(_size(path) for path, _ in _named(folder / REFUSED))
    return Survey(
        closed=[path for _, path in found if path.suffix == CLOSED],
        bytes=sum(_size(path) for _, path in found) + refused,
        refused_bytes=refused,
        oldest=found[0][0] / 1e6 if found else None,
    )


def opened(folder: Path) -> list[Path]:
    """Segments that are being written, and those that dead writers left."""
    return [path for path, _ in _named(folder) if path.suffix == OPEN]


def create(folder: Path, kind: str, day: str, token: str) -> tuple[int, Path]:
    """A new segment, open for appending and locked: its descriptor and path.

    Raises:
        OSError: there is no place for it.
    """
    while True:
        path = folder / f"{kind}.{day}.{time.time_ns() // 1000}.{token}{OPEN}"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        except FileExistsError:
            continue
        # Another may take a file that nobody has locked yet for a dead writer's, and remove it.
        if _lock(descriptor) and _is_at(descriptor, path):
            return descriptor, path
        os.close(descriptor)


@contextmanager
def claimed(path: Path) -> Iterator[BinaryIO | None]:
    """The segment, locked until the block ends; None when it is another's or gone."""
    try:
        file = path.open("r+b")
    except FileNotFoundError:
        yield None
        return
    with file:
        yield file if _lock(file.fileno()) and _is_at(file.fileno(), path) else None


def adopt(path: Path) -> int:
    """Close an open segment whose writer is dead, without its torn last row; how many rows that cost."""
    with claimed(path) as file:
        if file is None:
            return 0
        content = file.read()
        end = content.rfind(b"\n") + 1
        file.truncate(end)
        if end:
            path.rename(path.with_suffix(CLOSED))
        else:
            path.unlink()
        return int(end < len(content))


def kind_and_day(path: Path) -> tuple[str, str]:
    """What the rows of a segment are, and the day of predictions as YYYYMMDD."""
    kind, day, *_ = path.name.split(".")
    return kind, day


def _named(folder: Path) -> Iterator[tuple[Path, re.Match[str]]]:
    """The segments in a folder, which need not be there."""
    for path in folder.iterdir() if folder.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        if match is not None:
            yield path, match


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0  # shipped meanwhile


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the locked file still has this name: before it was locked another could rename or remove it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
