"""The record of checks and the log that they read, for pipeline pods and laptops (records.py serves it).

GET  /modelyard/checks?use_case=…&limit=…             those on record, the newest first
POST /modelyard/checks                                notes one: 201, {"id": 7}; 409 where another was quicker
GET  /modelyard/checks/pending?use_case=…&since=…&reach=…   what a check would look at now
POST /modelyard/checks/rows                           rows drawn of a window, a JSON array a line
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from itertools import islice
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from db import checks
from db.models import VERDICTS
from monitoring.log import PATH, Database
from monitoring.window import Row, Window
from stacks.platform.bodies import Text, Version

_LINES = 500
"""So many rows are sent at once."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Listed(_Body):
    use_case: Text
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class _Pending(_Body):
    use_case: Text
    since: AwareDatetime | None = None
    reach: Annotated[float, Field(ge=0, le=366 * 86_400)] = 0
    """Seconds."""


class _Rows(_Body):
    window: Window
    version: Version
    known: bool


class _Check(_Body):
    use_case: Text
    model_version: Version
    since: AwareDatetime
    until: AwareDatetime
    verdict: Literal[VERDICTS]  # type: ignore[valid-type]
    found: dict[str, Any]
    zenml_run: Text | None = None


def routes(database: str, body: Callable[[Request], Awaitable[bytes]]) -> list[Route]:
    """Those of the checks in the database at this URL; `body` reads a request's, if it may."""
    log = Database(database)

    async def listed(request: Request) -> Response:
        asked = _Listed.model_validate(dict(request.query_params))
        found = await run_in_threadpool(checks.listed, database, **asked.model_dump())
        return JSONResponse([one.model_dump(mode="json") for one in found])

    async def record(request: Request) -> Response:
        check = _Check.model_validate_json(await body(request))
        number = await run_in_threadpool(log.record, check.model_dump())
        return JSONResponse({"id": number}, 201)

    async def pending(request: Request) -> Response:
        asked = _Pending.model_validate(dict(request.query_params))
        reach = timedelta(seconds=asked.reach)
        found = await run_in_threadpool(log.pending, asked.use_case, asked.since, reach)
        return JSONResponse(found.model_dump(mode="json"))

    async def rows(request: Request) -> Response:
        asked = _Rows.model_validate_json(await body(request))
        drawn = log.draw(asked.window, asked.version, known=asked.known)
        # What goes wrong at the beginning is an answer; later it breaks off.
        first = await run_in_threadpool(_lines, drawn)
        return StreamingResponse(_all(first, drawn), media_type="application/x-ndjson")

    return [
        Route(PATH, listed),
        Route(PATH, record, methods=["POST"]),
        Route(f"{PATH}/pending", pending),
        Route(f"{PATH}/rows", rows, methods=["POST"]),
    ]


def _all(first: bytes, drawn: Iterator[Row]) -> Iterator[bytes]:
    yield first
    while lines := _lines(drawn):
        yield lines


def _lines(drawn: Iterator[Row]) -> bytes:
    return b"".join(json.dumps(list(row)).encode() + b"\n" for row in islice(drawn, _LINES))
