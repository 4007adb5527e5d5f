"""Hold processes to a share of one CPU each, by the kernel's control groups, which takes root."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_PERIOD = 100_000
"""Microseconds, in each of which a group gets its share."""
_V2 = Path("/sys/fs/cgroup")
_V1 = _V2 / "cpu"


@contextmanager
def held(share: float, count: int) -> Iterator[Sequence[Callable[[], None]]]:
    """For each of `count` processes what it calls before it begins: it and its children get `share` of a CPU.

    Raises:
        OSError: this process may not make such groups here.
    """
    root = _V1 if _V1.is_dir() else _V2
    groups = [root / f"modelyard-{secrets.token_hex(4)}" for _ in range(count)]
    try:
        for group in groups:
            group.mkdir()
            quota = int(share * _PERIOD)
            if root == _V1:
                (group / "cpu.cfs_period_us").write_text(str(_PERIOD))
                (group / "cpu.cfs_quota_us").write_text(str(quota))
            else:
                (group / "cpu.max").write_text(f"{quota} {_PERIOD}")
        yield [lambda group=group: _enter(group) for group in groups]  # type: ignore[misc]
    finally:
        for group in groups:
            with suppress(FileNotFoundError):
                _remove(group)


def _enter(group: Path) -> None:
    (group / "cgroup.procs").write_text("0")


def _remove(group: Path) -> None:
    """Once all that was in it is gone, children of children too."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return group.rmdir()
        except FileNotFoundError:
            raise
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
