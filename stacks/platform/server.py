"""What ZenML's and MLflow's server share: how they are served, and a word on readiness that is true."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import psycopg2
from sqlalchemy.engine import make_url

from db.databases import text
from stacks.platform import process

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[Any, Any, Send], Awaitable[None]]

WAIT_SECONDS = 300
"""How long a server waits for PostgreSQL; ended sooner it would be started again later and later."""
READY = "/ready"
DRAIN_SECONDS = 15
_ANSWER_SECONDS = 3
_TRUE_FOR_SECONDS = 1.0


def serve(application: Any, database: str, host: str, port: int) -> None:
    """Serve until SIGTERM; what is under way then is answered first."""
    import uvicorn

    process.log_to_stdout()
    uvicorn.run(
        answering_ready(application, database),
        host=host,
        port=port,
        server_header=False,
        access_log=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        **({"log_config": None} if process.in_pod() else {"log_level": "warning"}),
    )


def answering_ready(application: Application, database: str) -> Application:
    """`application`, which says at `/ready` whether PostgreSQL takes connections: 200, else 503.

    ZenML's own `/ready` and `/health` and MLflow's `/health` say yes as long as the process lives. No login
    is needed, so the question is put to PostgreSQL once a second at most, however often it is asked.
    """
    turn = asyncio.Lock()
    asked, answers = -_TRUE_FOR_SECONDS, False

    async def is_ready() -> bool:
        nonlocal asked, answers
        async with turn:
            if time.monotonic() - asked >= _TRUE_FOR_SECONDS:
                answers = await asyncio.to_thread(_answers, database)
                asked = time.monotonic()
            return answers

    async def answering(scope: Any, receive: Any, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != READY:
            return await application(scope, receive, send)
        ready = await is_ready()
        body = b"OK" if ready else b"PostgreSQL does not answer."
        headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200 if ready else 503, "headers": headers})
        return await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return answering


def _answers(database: str) -> bool:
    url = text(make_url(database).set(drivername="postgresql"))
    try:
        psycopg2.connect(url, connect_timeout=_ANSWER_SECONDS).close()
    except psycopg2.OperationalError:
        return False
    return True
