"""How much of the past stays: so many of the newest, or all that is young enough."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from errors import UsageError

T = TypeVar("T")

_HOURS = {"h": 1, "d": 24, "w": 24 * 7}


@dataclass(frozen=True)
class Keep:
    """Either `newest` or `younger` is set."""

    newest: int | None = None
    younger: timedelta | None = None

    def of(self, items: Iterable[T], made: Callable[[T], datetime], now: datetime) -> list[T]:
        """Those of `items` that stay, newest first; `made` says when one was made, in UTC like `now`."""
        ordered = sorted(items, key=made, reverse=True)
        if self.younger is not None:
            return [item for item in ordered if now - made(item) < self.younger]
        return ordered[: self.newest]


def parse(text: str) -> Keep:
    """`20` is the newest twenty, `30d` what is younger than thirty days; `h` and `w` are hours and weeks.

    Raises:
        UsageError: it is neither.
    """
    match = re.fullmatch(r"(\d{1,6})([hdw]?)", text.strip())
    if match is None:
        raise UsageError(
            f"--keep takes a number of runs, such as 20, or an age, such as 48h, 30d or 12w; not {text!r}."
        )
    number, unit = int(match[1]), match[2]
    return Keep(younger=timedelta(hours=number * _HOURS[unit])) if unit else Keep(newest=number)
