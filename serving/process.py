"""One endpoint process: BentoML's application for a Bento, in a pod or on this machine.

In a pod (`--port`) it listens once its model has proved itself; Kubernetes leads clients to it.

On this machine nobody does. `bentoml serve` listens as soon as it starts and stops listening when it ends, so
a new version could only get the address of the one before after a gap. Here the listening socket is handed
from process to process instead: it is never closed, so no connection is ever refused.

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
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import uvicorn

from serving import connections, logs, workers

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

    def __init__(self, config: uvicorn.Config, limit: logs.Limit) -> None:
        super().__init__(config)
        self._limit = limit

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self._watch = self.loop.create_task(connections.watch(self.server_state, self._limit))
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
        self._watch.cancel()

    def _protocol(self) -> asyncio.Protocol:
        protocol: type[Any] = self.config.http_protocol_class
        made: asyncio.Protocol = protocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made


def main() -> None:
    """Serve a Bento until SIGTERM: in a pod at --port, on this machine at the sockets of a release."""
    parser = argparse.ArgumentParser(prog="serving.process", description=main.__doc__)
    parser.add_argument("bento", type=Path, help="The Bento's folder.")
    pod = parser.add_argument_group("in a pod")
    pod.add_argument("--port", type=int, help="Port to listen at.")
    pod.add_argument("--host", default="0.0.0.0", help="Address to listen at.")  # noqa: S104
    pod.add_argument("--listen", type=int, help="Descriptor of a listening socket; what workers are given.")
    local = parser.add_argument_group("on this machine, where a release starts it")
    local.add_argument("--private", type=int, help="Descriptor of the private listening socket.")
    local.add_argument("--release", type=int, help="Descriptor of the release's socket.")
    local.add_argument("--lend", type=Path, help="Unix socket to make, which lends the public socket.")
    arguments = parser.parse_args()
    sockets = (arguments.private, arguments.release, arguments.lend)
    given = [
        arguments.port is not None,
        arguments.listen is not None,
        any(value is not None for value in sockets),
    ]
    if sum(given) != 1 or (given[2] and None in sockets):
        parser.error("give --port, or --listen, or --private, --release and --lend")
    limit = logs.set_up()
    _open_many_files()
    if arguments.port is not None:
        _serve_port(arguments.bento, arguments.host, arguments.port, limit)
    elif arguments.listen is not None:
        server = _server(_application(arguments.bento), limit)
        server.run(sockets=[socket.socket(fileno=arguments.listen)])
    else:
        _serve_sockets(arguments.bento, *sockets, limit)


def _serve_port(bento: Path, host: str, port: int, limit: logs.Limit) -> None:
    count = workers.count()
    if count > 1:
        sys.exit(workers.run(bento, host, port, count))
    # A container's first process is deaf to SIGTERM unless it handles it; once drained, uvicorn repeats it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    _server(_application(bento), limit, host=host, port=port).run()


def _serve_sockets(bento: Path, private: int, release: int, lend: Path, limit: logs.Limit) -> None:
    listening = socket.socket(fileno=private)
    served: list[Server] = []
    follow = (socket.socket(fileno=release), served, lend)
    threading.Thread(target=_follow, args=follow, daemon=True).start()
    server = _server(_application(bento), limit)
    served.append(server)
    server.run(sockets=[listening])


def _server(application: ASGI3Application, limit: logs.Limit, **bind: Any) -> Server:
    server = Server(
        uvicorn.Config(
            application,
            **bind,
            loop="uvloop",
            http=connections.Connection,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=connections.IDLE_SECONDS,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        ),
        limit,
    )
    server.config.app = _drained(application, server)
    return server


def _application(bento: Path) -> ASGI3Application:
    """BentoML's application, set up as `bentoml serve` sets up its worker."""
    from _bentoml_impl.loader import load
    from bentoml._internal.configuration.containers import BentoMLContainer
    from bentoml._internal.context import server_context
    from bentoml._internal.server.metrics.prometheus import PrometheusClient

    service = load(str(bento), standalone_load=True)
    assert service.bento is not None
    server_context.worker_index = 1
    server_context.service_type = "entry_service"
    server_context.service_name = service.name
    server_context.bento_name = service.bento.tag.name
    server_context.bento_version = service.bento.tag.version
    BentoMLContainer.development_mode.set(False)
    # Or else it would look for the files of several processes, which only `bentoml serve` lets them write.
    BentoMLContainer.metrics_client.set(PrometheusClient(multiproc=False))
    return cast("ASGI3Application", service.to_asgi(is_main=True))


def _open_many_files() -> None:
    """Let every connection that is allowed have its descriptor: many systems begin with 1,024 a process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * connections.MAX_CONNECTIONS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _follow(release: socket.socket, served: list[Server], lend: Path) -> None:
    """Wait for the public socket; when the release ends without giving it, this process ends too."""
    with release:
        message, descriptors, _, _ = socket.recv_fds(release, len(GIVEN), 1)
        if message != GIVEN or not descriptors:
            logger.warning("The release that started this process is gone; so it ends")
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
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
            await send(message)

        await application(scope, receive, answer if server.draining else send)

    return drained


if __name__ == "__main__":
    main()
