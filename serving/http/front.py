"""The outermost layer of an endpoint: it answers the endpoint's own paths and leaves the rest to BentoML.

BentoML's own layers (metrics, tracing, time limits, routing) cost ten times what a prediction does. What they
would do is done here, once a request: who may ask, how much, an id, counts, the log.
"""

from __future__ import annotations

import logging
from time import perf_counter
from typing import TYPE_CHECKING

from serving.http import routes
from serving.http.messages import PROBLEM, Call, Gone, InferenceRefused, Refused, request_ids, send

if TYPE_CHECKING:
    from collections.abc import Callable

    from uvicorn._types import (
        ASGI3Application,
        ASGIReceiveCallable,
        ASGISendCallable,
        ASGISendEvent,
        HTTPScope,
        Scope,
    )

    from serving.http.routes import Route
    from serving.worker import Worker

INNER = frozenset(("/livez", "/readyz", "/healthz"))
"""What BentoML answers."""
STATIC = "/static_content/"
"""Where BentoML has the files of the Swagger page."""

logger = logging.getLogger("modelyard.endpoint")


def front(inner: ASGI3Application, worker: Callable[[], Worker]) -> ASGI3Application:
    """`inner` with the endpoint's own paths before it; `worker()` is asked once requests come."""
    ids = request_ids()

    async def answer(
        scope: HTTPScope, route: Route, receive: ASGIReceiveCallable, sender: ASGISendCallable
    ) -> None:
        here = worker()
        call = Call(scope, perf_counter(), ids)
        headers = [(b"model-version", here.version), (b"x-request-id", call.id.encode())]
        status = 500
        here.metrics.begin()
        try:
            if scope["method"] not in route.methods:
                raise _wrong_method(scope, route)
            if route.right:
                here.admit(call, route.right)
            if route.limit:
                await call.read(receive, route.limit, here.room)
            found = route.handle(here, call)
            content_type, body, more = found if isinstance(found, tuple) else await found
            status = 200
            await send(sender, status, content_type, body, [*headers, *more])
        except Refused as refusal:
            status = refusal.status
            here.refused(refusal, call, route.name)
            if route.name == "infer":
                refusal = InferenceRefused(status, refusal.detail, refusal.reason, headers=refusal.headers)
            await send(sender, status, refusal.content_type, refusal.body(), [*headers, *refusal.headers])
        except Gone:
            status = 499
        except Exception:  # a mistake of ours; its sender gets no more than the id to ask for
            logger.exception("A request failed", extra={"request_id": call.id, "trace_id": call.trace})
            failure = Refused(500, f"The endpoint failed; its log has more on request {call.id}.", "failed")
            await send(sender, status, PROBLEM, failure.body(), headers)
        finally:
            here.room.taken -= call.held
            here.metrics.end(route.name, status, perf_counter() - call.began)

    async def application(scope: Scope, receive: ASGIReceiveCallable, sender: ASGISendCallable) -> None:
        if scope["type"] == "lifespan":
            await _live(inner, worker, scope, receive, sender)
            return
        if scope["type"] != "http":
            await inner(scope, receive, sender)
            return
        path = scope["path"]
        route = routes.find(path)
        if route is not None:
            await answer(scope, route, receive, sender)
        elif path in INNER or path.startswith(STATIC):
            await inner(scope, receive, sender)
        else:
            # BentoML counts requests of each path that it hears of: asking for many would fill the memory.
            await answer(scope, routes.UNKNOWN, receive, sender)

    return application


async def _live(
    inner: ASGI3Application,
    worker: Callable[[], Worker],
    scope: Scope,
    receive: ASGIReceiveCallable,
    sender: ASGISendCallable,
) -> None:
    """Let BentoML start and end, and the worker with it."""

    async def told(message: ASGISendEvent) -> None:
        if message["type"] == "lifespan.startup.complete":
            worker().start()
        elif message["type"] == "lifespan.shutdown.complete":
            worker().close()
        await sender(message)

    await inner(scope, receive, told)


def _wrong_method(scope: HTTPScope, route: Route) -> Refused:
    allowed = ", ".join(route.methods)
    return Refused(
        405,
        f"{scope['path'][:100]} takes {allowed}; {scope['method'][:20]} came.",
        "invalid",
        headers=[(b"allow", allowed.encode())],
    )
