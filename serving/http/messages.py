"""What comes in and goes out: a request read within its limits, an answer, a refusal that says why."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Any

from serving.contract import FieldError

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, HTTPScope

Headers = Sequence[tuple[bytes, bytes]]

JSON = b"application/json"
PROBLEM = b"application/problem+json"
BODY_SECONDS = 10.0
"""Time for a body to arrive."""
MAX_HELD_BYTES = 128_000_000
"""Of all bodies that arrive piece by piece, until they are answered."""
RETRY_SECONDS = 1
"""What a client that comes at a bad time is asked to wait."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")


class Refused(Exception):
    """The request is not answered with what it asked for, for a reason that its sender is told."""

    def __init__(
        self,
        status: int,
        detail: str,
        reason: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Headers = (),
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.reason = status, detail, reason
        self.errors, self.headers = errors, headers

    content_type = PROBLEM

    def body(self) -> bytes:
        """RFC 9457, with the fields to blame as `errors`."""
        problem = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "errors": [error.model_dump(mode="json", exclude_none=True) for error in self.errors],
        }
        return json.dumps(problem, ensure_ascii=False).encode()


class InferenceRefused(Refused):
    """A refusal in the form of the Open Inference Protocol."""

    content_type = JSON

    def body(self) -> bytes:
        """`{"error": …}`"""
        return json.dumps({"error": self.detail}, ensure_ascii=False).encode()


class Gone(Exception):
    """The client hung up before it had sent its request."""


class Call:
    """A request: what its headers say that matters here, and its body once it was read."""

    __slots__ = (
        "began",
        "body",
        "encoding",
        "header_length",
        "held",
        "id",
        "key",
        "length",
        "trace",
        "type",
        "verifies",
    )

    def __init__(self, scope: HTTPScope, began: float, ids: Iterator[str]) -> None:
        self.began = began
        """By time.perf_counter."""
        self.held = 0
        """Bytes of the body that were taken from the room for bodies."""
        self.type = self.encoding = b""
        self.key: bytes | None = None
        self.id = self.trace = ""
        self.length = -1
        self.header_length: str | None = None
        self.body = b""
        self.verifies = False
        """Whether a release asks, to verify its answers: then nothing was predicted for anybody."""
        for name, value in scope["headers"]:
            if name == b"content-type":
                self.type = value
            elif name == b"content-length":
                self.length = int(value)
            elif name == b"content-encoding":
                self.encoding = b"" if value.lower() == b"identity" else value
            elif name == b"authorization":
                if value[:7].lower() == b"bearer ":
                    self.key = value[7:].strip()
            elif name == b"x-api-key":
                self.key = value
            elif name == b"x-request-id":
                if _REQUEST_ID.fullmatch(value):
                    self.id = value.decode()
            elif name == b"traceparent":
                if found := _TRACEPARENT.fullmatch(value):
                    self.trace = found[1].decode()
            elif name == b"inference-header-content-length":
                self.header_length = value.decode("latin-1")
        self.id = self.id or next(ids)

    async def read(self, receive: ASGIReceiveCallable, limit: int, room: Room) -> None:
        """Read the body, of which at most `limit` bytes are ever held.

        Raises:
            Refused: it is larger, compressed, takes too long, or bodies of others have all the room.
            Gone: the client hung up.
        """
        if self.length > limit:
            raise _too_large(limit)
        if self.encoding:
            came = f"{self.encoding.decode('latin-1')!r}"[:100]
            raise Refused(415, f"Bodies are taken without a Content-Encoding; it is {came}.", "invalid")
        message: Any = await receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            self.body = message["body"]
            if len(self.body) > limit:
                raise _too_large(limit)
            return
        body = bytearray()
        while message["type"] == "http.request":
            piece = message["body"]
            body += piece
            self.held += len(piece)
            room.taken += len(piece)
            if len(body) > limit:
                raise _too_large(limit)
            if not message.get("more_body"):
                self.body = bytes(body)
                return
            if room.taken > MAX_HELD_BYTES:
                raise overloaded("Too many large bodies are here at once.")
            # The server comes back each second, with or without a piece.
            if perf_counter() - self.began > BODY_SECONDS:
                closing = [(b"connection", b"close")]
                detail = f"The body did not arrive within {BODY_SECONDS:.0f} s."
                raise Refused(408, detail, "timeout", headers=closing)
            message = await receive()
        raise Gone


class Room:
    """Memory for bodies that arrive piece by piece."""

    taken = 0
    """Bytes of all that are not answered yet."""


def request_ids() -> Iterator[str]:
    """Ids that nobody else gives: 32 hexadecimal digits, half of them this process' own."""
    own = os.urandom(8).hex()
    return (f"{own}{number:016x}" for number in count())


async def send(
    sender: ASGISendCallable, status: int, content_type: bytes, body: bytes, headers: Headers = ()
) -> None:
    """Send a whole answer."""
    await sender(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", content_type),
                (b"content-length", b"%d" % len(body)),
                *headers,
            ],
            "trailers": False,
        }
    )
    await sender({"type": "http.response.body", "body": body, "more_body": False})


def overloaded(detail: str) -> Refused:
    """A refusal of more than there is time for."""
    retry = [(b"retry-after", b"%d" % RETRY_SECONDS)]
    return Refused(503, f"{detail} Try again in {RETRY_SECONDS} s.", "overloaded", headers=retry)


def _too_large(limit: int) -> Refused:
    detail = f"The body may have at most {limit:,} bytes; send fewer rows at once."
    return Refused(413, detail, "too_large")
