"""The endpoint's own routes as an ASGI application: `/predict`, `/predict_batch`, `/model`, the OpenAPI page.

It knows nothing of BentoML, so it can be mounted in a service or be laid around one. Every refusal is a
4xx with a JSON body `{"error": …, "fields": [{"field": …, "message": …, "value": …}]}`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from serving.contract import MAX_BODY_BYTES, Error, FieldError, field_errors

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from serving.endpoint import Endpoint

VERSION_HEADER = "Model-Version"
_OWN = ("/predict", "/predict_batch", "/model", "/docs.json", "/")
_BENTOML = ("/livez", "/readyz", "/healthz", "/metrics")
_PAGE_FILES = ("/static_content/swagger-ui.css", "/static_content/swagger-ui-bundle.js")
PATHS = frozenset((*_OWN, *_BENTOML, *_PAGE_FILES))
"""Every path that an endpoint has."""


class Refused(Exception):
    """The request is not what it has to be."""

    def __init__(self, status: int, error: str, fields: list[FieldError] | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.body = Error(error=error, fields=fields or [])


def application(endpoint: Callable[[], Endpoint]) -> Starlette:
    """The routes over the endpoint that `endpoint()` returns once it is loaded."""

    async def predict(request: Request) -> Response:
        body = await _json_body(request)
        return _answer(endpoint(), lambda: endpoint().answer(body))

    async def predict_batch(request: Request) -> Response:
        body = await _json_body(request)
        return _answer(endpoint(), lambda: endpoint().answer_batch(body))

    async def model(_: Request) -> Response:
        return JSONResponse(endpoint().describe(), headers=_headers(endpoint()))

    async def openapi(_: Request) -> Response:
        return Response(endpoint().openapi, media_type="application/json", headers=_headers(endpoint()))

    async def page(_: Request) -> Response:
        return HTMLResponse(_PAGE.format(title=endpoint().use_case.title))

    def refuse(_: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        body = error.body.model_dump_json(exclude_none=True)
        return Response(body, error.status, _headers(endpoint()), media_type="application/json")

    def fail(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = {**_headers(endpoint()), **(error.headers or {})}
        return JSONResponse({"error": error.detail, "fields": []}, error.status_code, headers=headers)

    return Starlette(
        routes=[
            Route("/predict", predict, methods=["POST"]),
            Route("/predict_batch", predict_batch, methods=["POST"]),
            Route("/model", model),
            Route("/docs.json", openapi),
            Route("/", page),
        ],
        exception_handlers={Refused: refuse, HTTPException: fail},
    )


def known_paths(application: ASGIApp) -> ASGIApp:
    """`application`, which hears of no path that an endpoint doesn't have.

    BentoML counts requests of each path that it hears of from then on: whoever asked for many would fill the
    memory.
    """

    async def known(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in PATHS:
            await JSONResponse({"error": "Not Found", "fields": []}, 404)(scope, receive, send)
        else:
            await application(scope, receive, send)

    return known


async def _json_body(request: Request) -> bytes:
    """The request's body, at most `MAX_BODY_BYTES` of it ever held.

    Raises:
        Refused: it is too large, empty, or not declared as JSON.
    """
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        came = f"{content_type!r}" if content_type else "none"
        raise Refused(415, f"The header Content-Type must be application/json; it is {came[:100]}.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise Refused(
                413, f"The body may have at most {MAX_BODY_BYTES:,} bytes; send fewer rows at once."
            )
    if not body.strip():
        raise Refused(400, "The body is empty; a JSON object with the request's fields was expected.")
    return bytes(body)


def _answer(endpoint: Endpoint, predict: Callable[[], bytes]) -> Response:
    try:
        return Response(predict(), media_type="application/json", headers=_headers(endpoint))
    except ValidationError as error:
        raise _refusal(error) from None


def _refusal(error: ValidationError) -> Refused:
    fields = field_errors(error)
    # A body that is no JSON object is one error, of no field; listing thousands twice would take seconds.
    alone = error.errors(include_url=False)[0] if error.error_count() == 1 else None
    if alone and alone["type"] == "json_invalid":
        return Refused(400, f"The body is not JSON: {fields[0].message.removeprefix('Invalid JSON: ')}.")
    if alone and not alone["loc"]:
        return Refused(422, f"The body is not a JSON object with the request's fields: {fields[0].message}.")
    named = ", ".join(dict.fromkeys(field.field or '""' for field in fields[:10]))
    left = error.error_count() - 10
    more = f" and at {left:,} more" if left > 0 else ""
    return Refused(422, f"The request is not valid; look at {named}{more}.", fields)


def _headers(endpoint: Endpoint) -> dict[str, str]:
    return {VERSION_HEADER: str(endpoint.version)}


# The Swagger page out of BentoML's own files: nothing is fetched from elsewhere, no one is told of the visit.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="UTF-8">
  <title>{title}</title>
  <link rel="stylesheet" href="static_content/swagger-ui.css">
</head>
<body>
  <div id="page"></div>
  <script src="static_content/swagger-ui-bundle.js"></script>
  <script>SwaggerUIBundle({{url: "docs.json", dom_id: "#page"}})</script>
</body>
</html>
"""
