"""Files behind HTTP: whether one is there, and a copy of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from errors import DataError

if TYPE_CHECKING:
    import httpx

_SECONDS = 30
_TRIES = 4
_PAUSE = 0.5
# What a server says of files that are not there; object stores answer 403 to who may not list.
_ABSENT = (403, 404, 410)


def is_web(url: str) -> bool:
    """Whether it is HTTP's to bring."""
    return url.startswith(("http://", "https://"))


def mark(url: str) -> str | None:
    """What tells when the file has changed; None when there is none.

    Raises:
        DataError: the server does not answer, or answers neither so nor so.
    """
    import httpx

    for left in reversed(range(_TRIES)):
        try:
            answer = httpx.head(url, follow_redirects=True, timeout=_SECONDS)
        except httpx.TransportError as error:
            if not left:
                raise DataError(
                    f"Cannot ask for {url}: {error}. Check the address and the network."
                ) from error
        else:
            if answer.status_code in _ABSENT:
                return None
            if answer.is_success:
                return _mark(answer)
            if not left or answer.status_code < 500:
                raise DataError(f"{url} was answered with {answer.status_code} {answer.reason_phrase}.")
        time.sleep(_PAUSE * (_TRIES - left))
    raise AssertionError


def fetch(url: str, target: Path) -> None:
    """Write the whole file to `target`; what broke off is begun again.

    Raises:
        DataError: it does not come whole.
    """
    import httpx

    for left in reversed(range(_TRIES)):
        try:
            with httpx.stream("GET", url, follow_redirects=True, timeout=_SECONDS) as answer:
                answer.raise_for_status()
                with target.open("wb") as file:
                    for part in answer.iter_bytes(1 << 20):
                        file.write(part)
            return
        except (httpx.TransportError, httpx.HTTPStatusError) as error:
            status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else 500
            if not left or status < 500:
                raise DataError(f"Cannot download {url} ({_TRIES - left} tries): {error}") from error
        time.sleep(_PAUSE * (_TRIES - left))


def _mark(answer: httpx.Response) -> str:
    headers = answer.headers
    tag = headers.get("ETag", "")
    # A weak one may stay when bytes change.
    if not tag or tag.startswith("W/"):
        tag = headers.get("Last-Modified", "")
    return f"http:{tag.strip(chr(34))}:{headers.get('Content-Length', '')}"
