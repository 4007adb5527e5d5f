"""Which calls are sent again, and when.

Everything that this client sends may be sent twice: a prediction depends on the request alone, and an outcome
that is told twice is told once. So a call is repeated, under the same X-Request-ID, when the connection broke
or nothing came in time (a pod was replaced), and when the answer is to come again (408, 429, 502, 503, 504).
"""

from __future__ import annotations

import random
import time
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count
from typing import TypeVar

import httpx

from modelyard_client.errors import Unavailable

Result = TypeVar("Result")
Answer = httpx.Response | httpx.TransportError | None
Flow = Generator[httpx.Request | float, Answer, Result]
"""A call, without the way that it is sent: it yields requests to send, for which it is given what came of
them, and seconds to wait."""

AGAIN = frozenset((408, 429, 502, 503, 504))
BROKEN = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError)


@dataclass(frozen=True)
class Retries:
    """How often and how long a call is tried."""

    attempts: int = 6
    """At most, the first among them; 1 repeats nothing."""
    first: float = 0.2
    """Seconds: the longest pause after the first attempt; it doubles with each. Pauses are drawn evenly from
    0 to that, so that clients which failed together do not come again together."""
    longest: float = 5.0
    """Seconds that it doubles up to."""
    within: float = 60.0
    """Seconds after which no further attempt begins."""

    def pause(self, attempt: int, asked: float = 0.0) -> float:
        """Seconds to wait after attempt number `attempt`, from 1; at least what the endpoint `asked` for."""
        return asked + random.uniform(0.0, min(self.longest, self.first * 2.0 ** (attempt - 1)))  # noqa: S311 - no secret


def exchange(request: httpx.Request, retries: Retries) -> Flow[httpx.Response]:
    """The first answer that is not to come again.

    Raises:
        Unavailable: there is none within the attempts and their time.
    """
    last = time.monotonic() + retries.within
    for attempt in count(1):
        answer = yield request
        if isinstance(answer, httpx.Response) and answer.status_code not in AGAIN:
            return answer
        pause = retries.pause(attempt, _asked(answer))
        if attempt >= retries.attempts or time.monotonic() + pause > last:
            raise _unavailable(request, answer, attempt)
        yield pause
    raise AssertionError


def _asked(answer: Answer) -> float:
    """Seconds that Retry-After asks to wait, which it gives as such or as a date."""
    said = answer.headers.get("retry-after", "") if isinstance(answer, httpx.Response) else ""
    if said.isdecimal():
        return float(said)
    try:
        until = parsedate_to_datetime(said)
    except ValueError:
        return 0.0
    # A date without a zone is in GMT, as all of HTTP's are.
    return max(
        0.0, ((until if until.tzinfo else until.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()
    )


def _unavailable(request: httpx.Request, answer: Answer, attempts: int) -> Unavailable:
    times = "once" if attempts == 1 else f"{attempts} times"
    if isinstance(answer, httpx.Response):
        said, status = f"answered {answer.status_code} last", answer.status_code
    else:
        said, status = f"did not answer: {answer or type(answer).__name__}", None
    return Unavailable(
        f"{request.url} was tried {times} and {said}.",
        attempts=attempts,
        status=status,
        request_id=request.headers.get("x-request-id"),
    )
