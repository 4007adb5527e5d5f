"""The record of decisions, for rounds that run in a cluster's pods, and for laptops (records.py serves it).

GET  /modelyard/decisions?use_case=…&limit=…      those on record, the newest first
GET  /modelyard/decisions?use_case=…&attempt=…    those that tried the same, and have ended
POST /modelyard/decisions                         notes one: 201, {"id": 7}; 409 where one is under way
POST /modelyard/decisions/7/end                   notes what came of it: 204; 409 where it has ended
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from db.models import DECISIONS
from monitoring.ledger import PATH, Database
from stacks.platform.bodies import Text


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Asked(_Body):
    use_case: Text
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    attempt: Text | None = None


class _About(_Body):
    use_case: Text
    reasons: Annotated[list[Text], Field(min_length=1)]
    evidence: dict[str, Any]
    decided_by: Text


class _Noted(_About):
    decision: Literal[DECISIONS]  # type: ignore[valid-type]
    run: Text | None = None


class _Ended(_Body):
    status: Literal["done", "failed", "abandoned"]
    result: dict[str, Any]


def routes(database: str, body: Callable[[Request], Awaitable[bytes]]) -> list[Route]:
    """Those of the decisions in the database at this URL; `body` reads a request's, if it may."""
    ledger = Database(database)

    async def listed(request: Request) -> Response:
        asked = _Asked.model_validate(dict(request.query_params))
        found = await (
            run_in_threadpool(ledger.decisions, asked.use_case, asked.limit)
            if asked.attempt is None
            else run_in_threadpool(ledger.retrainings, asked.use_case, asked.attempt)
        )
        return JSONResponse([one.model_dump(mode="json") for one in found])

    async def note(request: Request) -> Response:
        noted = _Noted.model_validate_json(await body(request))
        about = noted.model_dump(include=set(_About.model_fields))
        number = await run_in_threadpool(ledger.note, noted.decision, about, noted.run)
        return JSONResponse({"id": number}, 201)

    async def end(request: Request) -> Response:
        ended = _Ended.model_validate_json(await body(request))
        await run_in_threadpool(ledger.end, request.path_params["id"], ended.status, ended.result)
        return Response(status_code=204)

    return [
        Route(PATH, listed),
        Route(PATH, note, methods=["POST"]),
        Route(f"{PATH}/{{id:int}}/end", end, methods=["POST"]),
    ]
