"""A system that takes events, as docs/events.md says one should be; and one that is out of order."""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from settings import PROJECT

KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


def documented(name: str) -> Any:
    """A function that docs/events.md has."""
    page = (PROJECT / "docs" / "events.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    found: dict[str, Any] = {}
    exec(code, found)  # noqa: S102 - our own page
    return found[name]


@dataclass
class Receiver:
    """What came, and how the next ones are answered."""

    url: str
    answers: list[int | Callable[[], int]] = field(default_factory=list)
    """Status of the next answers, or what waits and then tells it; 204 once there are none left."""
    came: list[dict[str, Any]] = field(default_factory=list)
    """Every event that came, also those that were not taken."""
    taken: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    retry_after: str | None = None


@contextmanager
def receiving() -> Iterator[Receiver]:
    """It verifies each request, and answers 401 where that fails."""
    verify = documented("verify")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            try:
                known = verify(self.headers, body, KEY)
            except ValueError:
                self.answer(401)
                return
            event = json.loads(body)
            assert event["id"] == known
            receiver.came.append(event)
            answer = receiver.answers.pop(0) if receiver.answers else 204
            status = answer() if callable(answer) else answer
            if status == 204:
                receiver.taken.append(event)
            self.answer(status)

        def answer(self, status: int) -> None:
            self.send_response(status)
            if receiver.retry_after:
                self.send_header("Retry-After", receiver.retry_after)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def handle(self) -> None:
            # Whoever asked was killed, or tired of waiting.
            with suppress(ConnectionError):
                super().handle()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}/secret-path")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
