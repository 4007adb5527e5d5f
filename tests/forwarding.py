"""A connection to a server that counts what comes back, and can stop taking what is sent."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Line:
    """What went over the connections so far, in bytes."""

    url: str
    limit: float
    sent: int = 0
    received: int = 0
    stuck: threading.Event = field(default_factory=threading.Event)
    """Set once `limit` bytes were sent; no more get through."""


@contextmanager
def forwarding(endpoint: str, limit: float = float("inf")) -> Iterator[Line]:
    """A port of this machine from which everything goes to `endpoint` and back."""
    url = urlsplit(endpoint)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError), socket.create_connection((url.hostname, url.port)) as upstream:
                back = threading.Thread(target=self.answer, args=(upstream,), daemon=True)
                back.start()
                while chunk := self.request.recv(65_536):
                    line.sent += len(chunk)
                    if line.sent > line.limit:
                        line.stuck.set()
                        closing.wait()
                        return
                    upstream.sendall(chunk)
                upstream.shutdown(socket.SHUT_WR)
                back.join()

        def answer(self, upstream: socket.socket) -> None:
            with suppress(OSError):
                while chunk := upstream.recv(65_536):
                    line.received += len(chunk)
                    self.request.sendall(chunk)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    closing = threading.Event()
    with Server(("127.0.0.1", 0), Handler) as server:
        line = Line(f"http://127.0.0.1:{server.server_address[1]}", limit)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield line
        closing.set()
        server.shutdown()
        thread.join()
