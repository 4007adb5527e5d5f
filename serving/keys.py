"""API keys of an endpoint: made, kept as hashes in one file, and told apart.

A key is `my_<name>_<43 random characters>`. The file holds none of them, but a line for each:

    # name sha256 rights created
    web 5f0d… predict,outcomes 2026-11-26

Without a file, or with an empty one, everybody is let in; with the first line alone nobody is, as after the
last key was revoked.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hmac import compare_digest
from pathlib import Path
from typing import Literal, NamedTuple

from errors import UsageError

RIGHTS = ("predict", "outcomes")

_HEADER = "# name sha256 rights created"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_HASH = re.compile(r"[0-9a-f]{64}")

logger = logging.getLogger("modelyard.keys")


class Verdict(NamedTuple):
    """Whether a request is let in: 200, or the status that it is refused with."""

    status: Literal[200, 401, 403]
    name: str | None = None
    """Of the key."""


@dataclass(frozen=True)
class Entry:
    """What is known of a key."""

    name: str
    digest: bytes
    rights: frozenset[str]
    created: date


_OPEN, _UNKNOWN = Verdict(200), Verdict(401)


class Keys:
    """The keys in a file, as an endpoint asks for them; None: there are none, and everybody is let in."""

    def __init__(self, path: Path | None) -> None:
        """Read them.

        Raises:
            UsageError: a line is damaged: an endpoint that cannot tell who may ask does not begin.
            OSError: the file is there and cannot be read.
        """
        self._path = path
        self._seen = self._identity()
        self._open, self._known = True, _known([])
        if self._seen is not None:
            self._take()

    def allows(self, presented: bytes | None, right: str) -> Verdict:
        """Whether who presents this key has that right: 200, 401 for no or an unknown key, or 403."""
        if self._open:
            return _OPEN
        if presented is None:
            return _UNKNOWN
        digest = hashlib.sha256(presented).digest()
        found = None
        # All are compared, whichever it is: the time tells nothing.
        for known, verdicts in self._known:
            if compare_digest(known, digest):
                found = verdicts
        return _UNKNOWN if found is None else found[right]

    def refresh(self) -> None:
        """Read the file again if it is another one now; called every second or so.

        A damaged file changes nothing. Nor does one that is gone or empty where there were keys, so that no
        accident opens an endpoint; starting it anew does.
        """
        seen = self._identity()
        if seen == self._seen:
            return
        self._seen = seen
        if seen is None and self._open:
            return
        try:
            self._take()
        except (UsageError, OSError) as error:
            logger.warning("The API keys stay as they were: %s", error)

    def _take(self) -> None:
        assert self._path is not None
        text = self._path.read_text(errors="replace")
        if not text.strip():
            if self._open:
                return
            raise UsageError(f"{self._path} is empty, and had keys before.")
        self._open, self._known = False, _known(parse(text))
        logger.info("%d API keys are known", len(self._known))

    def _identity(self) -> tuple[int, ...] | None:
        """What changes with the file, also when a link on the way to it does, as in Kubernetes."""
        if self._path is None:
            return None
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def parse(text: str) -> list[Entry]:
    """The keys in the text of a file.

    Raises:
        UsageError: a line is none, or two have one name.
    """
    entries: list[Entry] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            name, digest, rights, created = words
            if not _NAME.fullmatch(name) or not _HASH.fullmatch(digest):
                raise ValueError
            day = date.fromisoformat(created)
            entry = Entry(name, bytes.fromhex(digest), _rights(rights.split(",")), day)
        except (ValueError, UsageError):
            raise UsageError(
                f"Line {number} of the keys is damaged: expected `name sha256 rights created`, such as `web "
                "5f0d… predict 2026-11-26`. Revoke the key and add it again, or take the line out."
            ) from None
        if entry.name in (other.name for other in entries):
            raise UsageError(f"Line {number} of the keys has the name {name} a second time: take it out.")
        entries.append(entry)
    return entries


def added(text: str, name: str, rights: Collection[str]) -> tuple[str, str]:
    """The text with a new key's line, and the key, which is nowhere else.

    Raises:
        UsageError: the name or a right is none, the name is taken, or the text is damaged.
    """
    entries = parse(text)
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name of a key: up to 63 lower-case letters, digits and dashes, such as web-shop."
        )
    if name in (entry.name for entry in entries):
        raise UsageError(f"There is a key {name} already. Take another name, or revoke that one first.")
    key = f"my_{name}_{secrets.token_urlsafe(32)}"
    digest = hashlib.sha256(key.encode()).digest()
    return _text([*entries, Entry(name, digest, _rights(rights), datetime.now(UTC).date())]), key


def revoked(text: str, name: str) -> str:
    """The text without a key's line.

    Raises:
        UsageError: there is no such key, or the text is damaged.
    """
    entries = parse(text)
    others = [entry for entry in entries if entry.name != name]
    if len(others) == len(entries):
        there = ", ".join(entry.name for entry in entries) or "none"
        raise UsageError(f"There is no key {name}; those there are: {there}.")
    return _text(others)


def change(path: Path, make: Callable[[str], str]) -> None:
    """Replace the text of a file by what `make` makes of it, in one step; of two at once, one waits.

    Raises:
        UsageError: `make` refused; the file is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The lock is not on the file itself, which the first one replaces while the second one waits.
    lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        text = make(path.read_text() if path.exists() else "")
        draft = path.with_name(f".{path.name}.draft")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        os.close(lock)


def _text(entries: Sequence[Entry]) -> str:
    lines = [
        f"{entry.name} {entry.digest.hex()} {','.join(sorted(entry.rights))} {entry.created}"
        for entry in entries
    ]
    return "\n".join([_HEADER, *lines, ""])


def _rights(names: Collection[str]) -> frozenset[str]:
    if not names or not set(names) <= set(RIGHTS):
        raise UsageError(f"Rights of a key are {' and '.join(RIGHTS)}, one or both; not {', '.join(names)}.")
    return frozenset(names)


def _known(entries: Sequence[Entry]) -> tuple[tuple[bytes, dict[str, Verdict]], ...]:
    """The digest of each key, and what is to be said of each right."""
    return tuple(
        (
            entry.digest,
            {right: Verdict(200 if right in entry.rights else 403, entry.name) for right in RIGHTS},
        )
        for entry in entries
    )
