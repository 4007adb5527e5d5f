"""The records of a platform whose MLflow says hello and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from pydantic import SecretStr
from starlette.responses import PlainTextResponse

from stacks.platform import records
from stacks.platform.credentials import Credentials

LOGIN = ("default", "a password of the tests")


@contextmanager
def served(database: str) -> Iterator[str]:
    """Its URL, while it is there."""
    login = Credentials(username=LOGIN[0], password=SecretStr(LOGIN[1]), signing_key=SecretStr("key"))
    application = records.beside(PlainTextResponse("hello"), database, login)
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(20)
