"""An HTTP API of passengers with the faults that APIs have, in a thread of the tests."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Api(ThreadingHTTPServer):
    """`/people?page=N&since=ID`: pages of rows, for who has the key."""

    rows: list[dict[str, Any]]
    size = 100
    key = "let me in"
    faults: dict[int, str]
    """What goes wrong at the so-manieth request: `busy`, `broken`, `error`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.rows, self.faults, self.asked = [], {}, []

    asked: list[dict[str, str]]
    waited: float | None = None
    _busy_at: float | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/people"


class _Handler(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        api = self.server
        asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        api.asked.append(asked)
        if api._busy_at is not None:
            api.waited, api._busy_at = time.monotonic() - api._busy_at, None
        if self.headers.get("Authorization") != f"Bearer {api.key}":
            self._answer(401, {"error": "who are you?"})
            return
        fault = api.faults.pop(len(api.asked), "")
        if fault == "busy":
            api._busy_at = time.monotonic()
            self._answer(429, {}, {"Retry-After": "1"})
            return
        if fault == "error":
            self._answer(500, {})
            return
        page = int(asked.get("page", 1)) - 1
        rows = [row for row in api.rows if row["PassengerId"] >= int(asked.get("since", 0))]
        body = {"data": {"items": rows[page * api.size : (page + 1) * api.size]}}
        self._answer(200, body, broken=fault == "broken")

    def _answer(
        self, status: int, body: Any, headers: dict[str, str] | None = None, *, broken: bool = False
    ) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        # In the middle of a page it is gone.
        self.wfile.write(content[: len(content) // 2] if broken else content)
        if broken:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[Api]:
    """The API, until the context ends."""
    with Api() as api:
        thread = threading.Thread(target=api.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield api
        finally:
            api.shutdown()
            thread.join()
