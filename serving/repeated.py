"""Keys that a JSON object has twice: parsers keep the last of them, so what was meant is anybody's guess."""

from __future__ import annotations

import json
import re
from typing import Any

_KEY = re.compile(rb'"\s*:')


def repeated(body: bytes, keys: int) -> str | None:
    """A key that some object of this valid JSON has twice, if any; `keys` are how many were left of all."""
    # Neither count is ever too small, so when one is equal, none was lost: a microsecond instead of ten.
    if body.count(b":") == keys or len(_KEY.findall(body)) == keys:
        return None
    found: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                found.append(name)
            seen.add(name)

    # What numbers are worth is of no interest, and digits without end would take long.
    json.loads(body, object_pairs_hook=look, parse_int=len, parse_float=len)
    return found[0] if found else None
