"""Connections within limits: what a client may send at once, how slowly, and how many connections there are.

uvicorn reads a head of any size for as long as it takes, keeps what a client sends ahead of its answers, and
waits for ever for one that stops in the middle. All of it is bounded here by one look at every connection
each second: a limit costs a request next to nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application
    from uvicorn.server import ServerState

    from serving.logs import Limit

MAX_CONNECTIONS = 1_000
"""Of a process; further ones are told to come again."""
MAX_HEAD_BYTES = 32_768
"""What may arrive without a whole head or a piece of a body in it."""
MAX_AHEAD = 32
"""Requests that may be sent before the answer to the first."""
HEAD_SECONDS = 10.0
"""Time for a head to arrive, and for the body of a request that was answered before it came."""
IDLE_SECONDS = 75
"""Time between two requests; longer than the 60 s of most load balancers, which must be the ones to close."""
CROWDED = 0.8
"""From this share of `MAX_CONNECTIONS` on, idle ones are closed after a second."""
UNREAD_SECONDS = 30.0
"""Time in which a client must take some of its answer."""
LINGER_SECONDS = 2.0
"""Time for a refused client to read why, before what it still sends breaks the connection."""

_RETRY = b"retry-after: 1\r\n"
_NOWHERE: deque[tuple[bytes, bytes]] = deque(maxlen=0)

logger = logging.getLogger("modelyard.endpoint")


class Connection(HttpToolsProtocol):
    """A connection that refuses what is too large, and that can be told to look at the time."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.since = self.loop.time()
        """When it began to wait for what it waits for."""
        self._unaccounted = 0
        """Bytes since the last head or piece of a body."""
        self._unread = 0
        self._refused = self._upgrades = False
        self._running: RequestResponseCycle | None = None
        count = len(self.connections)
        if count > 2 * MAX_CONNECTIONS:
            transport.abort()
        elif count > MAX_CONNECTIONS:
            self._refuse(503, "This endpoint has too many connections. Try again in 1 s.", _RETRY)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # uvicorn tells the last request of those that were sent ahead, but none before it.
        for cycle in (self._running, *(waiting for waiting, _ in self.pipeline)):
            if cycle is not None:
                cycle.disconnected = True
                cycle.message_event.set()
        self.pipeline.clear()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._unaccounted += len(data)
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self._refuse(400, "This is not HTTP.")
        except httptools.HttpParserUpgrade as upgrade:
            self._stay(data[upgrade.args[0] :])
        if self._unaccounted > MAX_HEAD_BYTES and not self._refused:
            self._refuse_head()

    def on_message_begin(self) -> None:
        self.since = self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self._unaccounted > MAX_HEAD_BYTES and self._head_bytes() > MAX_HEAD_BYTES:
            self._refuse_head()
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._upgrades = True
        if self._refused or self._upgrades:
            return
        self._unaccounted = 0
        super().on_headers_complete()
        # Headers behind a body would still be added to those that were read.
        self.headers = _NOWHERE  # type: ignore[assignment]
        if len(self.pipeline) > MAX_AHEAD:
            self._drop()

    def on_body(self, body: bytes) -> None:
        self._unaccounted = 0
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._unaccounted = 0
        if not self._refused and not self._upgrades:
            super().on_message_complete()
            # It isn't waited for any more, be it answered or not.
            self.cycle.more_body = False

    def on_response_complete(self) -> None:
        self.since = self.loop.time()
        super().on_response_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def look(self, now: float, crowded: bool) -> None:
        """Give up on a client that takes too long; one that sends a body is left to who reads it."""
        transport, cycle = self.transport, self.cycle
        unread, waited = transport.get_write_buffer_size(), now - self.since
        if unread:
            if unread != self._unread:
                self._unread, self.since = unread, now
            elif waited > UNREAD_SECONDS:
                transport.abort()
        elif self._refused:
            if waited > LINGER_SECONDS:
                transport.abort()
        elif cycle is not None and not cycle.response_complete:
            if cycle.more_body:
                # Whoever waits for it looks at the clock.
                cycle.message_event.set()
        elif self._unaccounted or (cycle is not None and cycle.more_body):
            if waited > HEAD_SECONDS:
                self._refuse(408, f"The request did not arrive within {HEAD_SECONDS:.0f} s.")
        elif waited > (HEAD_SECONDS if cycle is None else 1 if crowded else IDLE_SECONDS):
            transport.close()

    def _stay(self, rest: bytes) -> None:
        """Read a request as if it did not offer to speak another protocol, as Java's client first does.

        The parser leaves out the body of such a one.
        """
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        for name, value in self.headers:
            if name == b"connection":
                value = b"close" if b"close" in value.lower() else b"keep-alive"
            if name != b"upgrade":
                lines.append(b"%b: %b" % (name, value))
        self.parser, self._upgrades = httptools.HttpRequestParser(self), False
        self.data_received(b"\r\n".join([*lines, b"", rest]))

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _refuse_head(self) -> None:
        self._refuse(431, f"Headers may have {MAX_HEAD_BYTES:,} bytes in all.")

    def _refuse(self, status: int, detail: str, headers: bytes = b"") -> None:
        """Take nothing more from this client, and tell it why where that is no answer to something else."""
        cycle = self.cycle
        if cycle is not None and cycle.more_body and (cycle.response_started or self.pipeline):
            self._drop()
            return
        self._refused, self.since = True, self.loop.time()
        logger.info("A connection is refused", extra={"status": status})
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body:
                # What was asked before is answered, and nothing after it.
                cycle.keep_alive = False
                return
            # Who waits for the body is to see that none will come.
            cycle.disconnected = True
            cycle.message_event.set()
        title = HTTPStatus(status).phrase
        problem = {"type": "about:blank", "title": title, "status": status, "detail": detail, "errors": []}
        body = json.dumps(problem).encode()
        head = (
            f"HTTP/1.1 {status} {title}\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n"
        )
        if not self.transport.is_closing():
            self.transport.write(head.encode() + headers + b"\r\n" + body)
            self.transport.write_eof()

    def _drop(self) -> None:
        self._refused = True
        self.transport.abort()


async def watch(state: ServerState, limit: Limit) -> None:
    """Look at every connection, and at what was left out of the log, once a second."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(1)
        limit.tell()
        connections: list[Any] = list(state.connections)
        crowded = len(connections) > CROWDED * MAX_CONNECTIONS
        now = loop.time()
        for connection in connections:
            connection.look(now, crowded)
