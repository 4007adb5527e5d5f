"""Months as a person lists them: 2023-01..2023-03,2024-01."""

from __future__ import annotations

import re

from errors import UsageError

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


def expand(text: str) -> list[str]:
    """Months and ranges separated by commas → every month; a range holds both of its ends.

    Raises:
        UsageError: a part is no month and no range, a range ends before it begins, or a month comes twice.
    """
    months: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        for month in _range(part):
            if month in months:
                raise UsageError(
                    f"Each month can be named once; got {month} in {months[month]} and again in {part}."
                )
            months[month] = part
    return list(months)


def _range(part: str) -> list[str]:
    first, dots, last = map(str.strip, part.partition(".."))
    begin, end = _number(first, part), _number(last if dots else first, part)
    if end < begin:
        raise UsageError(f"A range of months ends after it begins; got {part}. Did you mean {last}..{first}?")
    return [f"{number // 12:04d}-{number % 12 + 1:02d}" for number in range(begin, end + 1)]


def _number(month: str, part: str) -> int:
    found = _MONTH.fullmatch(month)
    if found is None:
        raise UsageError(f"Months look like 2024-01, ranges like 2023-03..2024-02; got {part!r}.")
    return 12 * int(found[1]) + int(found[2]) - 1
