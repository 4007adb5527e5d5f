"""The record of releases, beside MLflow's pages on its server: for those who may not reach PostgreSQL.

Laptops and pipeline pods log in as they do for MLflow; `releases.records` is their side of it.

    GET  /modelyard/releases?use_case=…&target=…&limit=…   the newest first
    POST /modelyard/releases                               begins one: 201, {"id": 7}
    POST /modelyard/releases/7/serve                       and canary, fail, withdraw, stop: 204
    GET  /modelyard/releases/audit                         the audit trail, and what it is about
    GET  /modelyard/releases/approvals?use_case=…&model_version=…   the newest first
    POST /modelyard/releases/approvals                     approves a version: 201, {"id": 3}
    GET  /modelyard/metrics                                what the newest checks found, for Prometheus
         /modelyard/checks…                                see checks.py
         /modelyard/decisions…                             see decisions.py
    GET  /modelyard/batches?use_case=…                     see batches.py

What does not work out is `{"error": "a sentence"}`: 401 without the login, 404 for a release that is not
there, 409 for a change that makes no sense, 422 for a wrong body, 503 while PostgreSQL does not answer.
"""

from __future__ import annotations

import base64
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from sqlalchemy.exc import OperationalError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from db import approvals, audit, checks, releases
from db.recorded import PATH
from errors import DatabaseError, UsageError
from ingestion.record import PATH as BATCHES
from monitoring.ledger import PATH as DECISIONS
from monitoring.log import PATH as CHECKS
from stacks.platform import batches as of_batches
from stacks.platform import check_metrics
from stacks.platform import checks as of_checks
from stacks.platform import decisions as of_decisions
from stacks.platform.bodies import Text, Version

if TYPE_CHECKING:
    from stacks.platform.credentials import Credentials
    from stacks.platform.server import Application, Send

BODY_BYTES = 256 * 1024

_OURS = tuple(f"{path}/" for path in (PATH, CHECKS, DECISIONS, BATCHES, check_metrics.PATH))

Endpoint = Callable[[Request], Awaitable[Response]]

logger = logging.getLogger("modelyard")

Digest = Annotated[str, StringConstraints(pattern=r"^[^\s@\x00]+@sha256:[0-9a-f]{64}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def _storable(content: dict[str, Any]) -> dict[str, Any]:
    if "\\u0000" in json.dumps(content):
        raise ValueError("PostgreSQL's texts hold any sign but \\u0000")
    return content


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _Begin(_Body):
    use_case: Text
    model_version: Version
    bento: Text
    target: Text
    released_by: Text
    zenml_run: Text | None = None
    image: Digest | None = None
    why: Text | None = None
    evidence: Annotated[dict[str, Any], AfterValidator(_storable)] | None = None


class _Serve(_Body):
    address: Text


class _Canary(_Body):
    address: Text
    reason: Text | None = None


class _End(_Body):
    reason: Text


class _Approve(_Body):
    use_case: Text
    model_version: Version
    model: Sha256
    approved_by: Text
    note: Text | None = None


class _AskedApprovals(BaseModel):
    model_config = ConfigDict(extra="forbid")

    use_case: Text
    model_version: Version


class _Asked(BaseModel):
    """Not strict: in a URL all is text."""

    model_config = ConfigDict(extra="forbid")

    use_case: Text | None = None
    target: Text | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


_CHANGES: dict[str, tuple[type[_Body], Callable[..., None]]] = {
    "serve": (_Serve, releases.serve),
    "canary": (_Canary, releases.canary),
    "fail": (_End, releases.fail),
    "withdraw": (_End, releases.withdraw),
    "stop": (_End, releases.stop),
}


def beside(application: Application, database: str, login: Credentials) -> Application:
    """`application`, and beside it the records in the database at this URL, for `login`."""
    records = _records(database)
    refused = _error(
        401,
        "The records are for those who log in, as they do to MLflow's pages.",
        {"WWW-Authenticate": 'Basic realm="modelyard"'},
    )

    async def choosing(scope: Any, receive: Any, send: Send) -> None:
        if scope["type"] != "http" or not f"{scope['path']}/".startswith(_OURS):
            return await application(scope, receive, send)
        known = _knows(login, Headers(scope=scope).get("authorization", ""))
        return await (records if known else refused)(scope, receive, send)

    return choosing


def _records(database: str) -> Starlette:
    async def history(request: Request) -> Response:
        asked = _Asked.model_validate(dict(request.query_params))
        found = await run_in_threadpool(releases.history, database, **asked.model_dump())
        return JSONResponse([release.model_dump(mode="json") for release in found])

    async def begin(request: Request) -> Response:
        body = _Begin.model_validate_json(await _body(request))
        number = await run_in_threadpool(releases.begin, database, **body.model_dump())
        return JSONResponse({"id": number}, 201)

    async def metrics(_: Request) -> Response:
        found = await run_in_threadpool(checks.of_each, database)
        return Response(check_metrics.exposition(found), media_type=check_metrics.CONTENT_TYPE)

    async def trail(_: Request) -> Response:
        return JSONResponse((await run_in_threadpool(audit.read, database)).model_dump(mode="json"))

    async def approved(request: Request) -> Response:
        asked = _AskedApprovals.model_validate(dict(request.query_params))
        found = await run_in_threadpool(approvals.of, database, **asked.model_dump())
        return JSONResponse([approval.model_dump(mode="json") for approval in found])

    async def approve(request: Request) -> Response:
        body = _Approve.model_validate_json(await _body(request))
        number = await run_in_threadpool(approvals.approve, database, **body.model_dump())
        return JSONResponse({"id": number}, 201)

    def changing(model: type[_Body], note: Callable[..., None]) -> Endpoint:
        async def change(request: Request) -> Response:
            body = model.model_validate_json(await _body(request))
            await run_in_threadpool(note, database, request.path_params["id"], **body.model_dump())
            return Response(status_code=204)

        return change

    return Starlette(
        routes=[
            Route(check_metrics.PATH, metrics),
            *of_checks.routes(database, _body),
            *of_decisions.routes(database, _body),
            *of_batches.routes(database),
            Route(PATH, history),
            Route(PATH, begin, methods=["POST"]),
            Route(f"{PATH}/audit", trail),
            Route(f"{PATH}/approvals", approved),
            Route(f"{PATH}/approvals", approve, methods=["POST"]),
            *(
                Route(f"{PATH}/{{id:int}}/{change}", changing(*how), methods=["POST"])
                for change, how in _CHANGES.items()
            ),
        ],
        exception_handlers={
            releases.Unknown: lambda _, error: _error(404, str(error)),
            releases.Conflict: lambda _, error: _error(409, str(error)),
            DatabaseError: lambda _, error: _error(409, str(error)),
            UsageError: lambda _, error: _error(422, str(error)),
            ValidationError: lambda _, error: _error(422, _words(error)),
            HTTPException: lambda _, error: _error(error.status_code, error.detail, error.headers),
            OperationalError: _away,
            Exception: lambda *_: _error(500, "The record of releases failed; the server's log says why."),
        },
    )


def _knows(login: Credentials, authorization: str) -> bool:
    scheme, _, encoded = authorization.partition(" ")
    try:
        user, _, password = base64.b64decode(encoded, validate=True).partition(b":")
    except ValueError:
        return False
    right = [
        hmac.compare_digest(user, login.username.encode()),
        hmac.compare_digest(password, login.password.get_secret_value().encode()),
    ]
    return scheme.lower() == "basic" and all(right)


async def _body(request: Request) -> bytes:
    # A browser that is logged in sends other kinds for any page that asks it to, and this one for none.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "The body must be JSON, and Content-Type application/json.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES:
            raise HTTPException(413, f"The body is longer than {BODY_BYTES:,} bytes.")
    return body


def _away(_: Request, error: Exception) -> Response:
    logger.warning("The record of releases: %s", error)
    return _error(
        503, "PostgreSQL, which has the record of releases, does not answer. Try again in a moment."
    )


def _words(error: ValidationError) -> str:
    problems = (
        f"{'.'.join(map(str, problem['loc'])) or 'the body'}: {problem['msg']}" for problem in error.errors()
    )
    return f"This cannot be noted or asked for: {'; '.join(problems)}."


def _error(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": sentence}, status, headers)
