"""A door before a real registry that demands a login: name and password, or a token for each right."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx

LOGIN = b64encode(b"publisher:a-password").decode()
READER = b64encode(b"reader:a-password").decode()
"""A login that may read only."""
READS = ("GET", "HEAD")


@dataclass
class Door:
    """Where it is, and what it let through."""

    address: str = ""
    """`host:port`"""
    passed: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of each request."""


@contextmanager
def door(registry: str, *, tokens: bool) -> Iterator[Door]:
    """A door before the registry at the URL `registry`: by tokens, or else by name and password."""
    found = Door()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline()
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.answer(*self.reply(body))

        def reply(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            shown = self.headers.get("Authorization", "")
            url = urlsplit(self.path)
            if url.path == "/token":
                (scope,) = parse_qs(url.query)["scope"]
                if shown not in (f"Basic {LOGIN}", f"Basic {READER}"):
                    return 401, {}, b"{}"
                right = "write" if scope.endswith(",push") and shown.endswith(LOGIN) else "read"
                return 200, {}, json.dumps({"token": right}).encode()
            reads = self.command in READS
            if tokens:
                known = ("Bearer read", "Bearer write")
                good = ("Bearer write", "Bearer read") if reads else ("Bearer write",)
            else:
                known = (f"Basic {LOGIN}", f"Basic {READER}")
                good = known if reads else (f"Basic {LOGIN}",)
            if shown not in good:
                errors = {"errors": [{"code": "DENIED", "message": "requested access is denied"}]}
                status = 403 if shown in known and not tokens else 401
                return status, {"Www-Authenticate": self.challenge(reads)}, json.dumps(errors).encode()
            found.passed.append((self.command, url.path))
            kept = {
                name: value
                for name, value in self.headers.items()
                if name.lower() in ("accept", "content-type")
            }
            response = httpx.request(
                self.command, f"{registry}{self.path}", content=body, headers=kept, trust_env=False
            )
            headers = {
                name: value
                for name, value in response.headers.items()
                if name in ("content-type", "docker-content-digest")
            }
            if "location" in response.headers:
                place = urlsplit(response.headers["location"])
                headers["Location"] = place._replace(scheme="", netloc="").geturl()
            return response.status_code, headers, response.content

        def challenge(self, reads: bool) -> str:
            if not tokens:
                return 'Basic realm="Registry Realm"'
            repository = urlsplit(self.path).path.removeprefix("/v2/").partition("/")[0]
            scope = f"repository:{repository}:{'pull' if reads else 'pull,push'}"
            return f'Bearer realm="http://{found.address}/token",service="door",scope="{scope}"'

        def answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found.address = f"127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield found
        finally:
            server.shutdown()


def write_login(folder: Path, name: str, login: str) -> Path:
    """A `config.json` with the login for the registry `name`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "config.json"
    file.write_text(json.dumps({"auths": {name: {"auth": login}}}))
    return file
