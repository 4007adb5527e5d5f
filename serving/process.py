"""One endpoint process of the local target: BentoML's application for a Bento, and a public socket on call.

`bentoml serve` listens as soon as it starts and stops listening when it ends, so a new version could only get
the address of the one before after a gap. Here the listening socket is handed from process to process
instead: it is never closed, so no connection is ever refused.

    release                          this process                        the process before
    start ───────────────────────▶   serves its private socket           serves the public socket
    ask for readiness, verify ───▶   answers
    borrow the public socket ──────────────────────────────────────▶     lends it, goes on serving
    give the public socket ──────▶   serves it too, will lend it
    record, stop ──────────────────────────────────────────────────▶     stops accepting, drains, ends

A process whose release dies before it was given the public socket ends by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope

GIVEN = b"given"
"""Sent with a socket, and sent back once it is served."""
DRAIN_SECONDS = 3.0
"""Time for clients to let go of their connections; each answer tells them to."""
SHUTDOWN_SECONDS = 10
"""Time for requests under way to be answered."""

logger = logging.getLogger("modelyard.endpoint")


class Server(uvicorn.Server):
    """A uvicorn server that can be given a further socket while it runs, and lets go of clients gently."""

    loop: asyncio.AbstractEventLoop
    draining = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets)

    async def go_public(self, public: socket.socket) -> None:
        """Serve `public` in place of the private socket."""
        private = list(self.servers)
        self.servers.append(await self.loop.create_server(self._protocol, sock=public))
        for server in private:
            server.close()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        self.draining = True
        deadline = time.monotonic() + DRAIN_SECONDS
        while self.server_state.connections and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        protocol: type[Any] = self.config.http_protocol_class
        made: asyncio.Protocol = protocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made


def main() -> None:
    """Serve the Bento that the arguments name until SIGTERM."""
    parser = argparse.ArgumentParser(prog="serving.process", description=main.__doc__)
    parser.add_argument("bento", type=Path, help="The Bento's folder.")
    parser.add_argument(
        "--private", type=int, required=True, help="Descriptor of the private listening socket."
    )
    parser.add_argument("--release", type=int, required=True, help="Descriptor of the release's socket.")
    parser.add_argument(
        "--lend", type=Path, required=True, help="Unix socket to make, which lends the public socket."
    )
    arguments = parser.parse_args()

    release = socket.socket(fileno=arguments.release)
    private = socket.socket(fileno=arguments.private)
    served: list[Server] = []
    threading.Thread(target=_follow, args=(release, served, arguments.lend), daemon=True).start()
    application = _application(arguments.bento)
    server = Server(
        uvicorn.Config(
            application,
            loop="uvloop",
            http="httptools",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
    )
    server.config.app = _drained(application, server)
    served.append(server)
    server.run(sockets=[private])


def _application(bento: Path) -> ASGI3Application:
    """BentoML's application, set up as `bentoml serve` sets up its worker."""
    from _bentoml_impl.loader import load
    from bentoml._internal.configuration.containers import BentoMLContainer
    from bentoml._internal.context import server_context
    from bentoml._internal.log import configure_server_logging

    configure_server_logging()
    service = load(str(bento), standalone_load=True)
    assert service.bento is not None
    server_context.worker_index = 1
    server_context.service_type = "entry_service"
    server_context.service_name = service.name
    server_context.bento_name = service.bento.tag.name
    server_context.bento_version = service.bento.tag.version
    BentoMLContainer.development_mode.set(False)
    application: ASGI3Application = service.to_asgi(is_main=True)
    return application


def _follow(release: socket.socket, served: list[Server], lend: Path) -> None:
    """Wait for the public socket; when the release ends without giving it, this process ends too."""
    with release:
        message, descriptors, _, _ = socket.recv_fds(release, len(GIVEN), 1)
        if message != GIVEN or not descriptors:
            sys.stderr.write("The release that started this process is gone; so it ends.\n")
            os.kill(os.getpid(), signal.SIGTERM)
            return
        public = socket.socket(fileno=descriptors[0])
        (server,) = served
        # A copy of its own: the server closes the one that it serves.
        lending = public.dup()
        asyncio.run_coroutine_threadsafe(server.go_public(public), server.loop).result()
        door = _open_door(lend)
        release.sendall(GIVEN)
    while True:
        borrower, _ = door.accept()
        with borrower:
            socket.send_fds(borrower, [GIVEN], [lending.fileno()])


def _open_door(path: Path) -> socket.socket:
    """A listening unix socket at `path`."""
    door = socket.socket(socket.AF_UNIX)
    with short(path) as name:
        door.bind(name)
    door.listen()
    return door


@contextmanager
def short(path: Path) -> Iterator[str]:
    """A name for `path` that fits into a unix socket's address, which takes about 100 bytes."""
    if not Path("/proc/self/fd").exists():
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _drained(application: ASGI3Application, server: Server) -> ASGI3Application:
    """`application`, which tells clients with every answer to connect anew while the server drains."""

    async def drained(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        async def answer(message: ASGISendEvent) -> None:
            if server.draining and message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
            await send(message)

        await application(scope, receive, answer)

    return drained


if __name__ == "__main__":
    main()
