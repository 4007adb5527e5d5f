"""A small server of an endpoint's page, with a model in which each field moves the answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import uvicorn
from pydantic import BaseModel, Field, ValidationError
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

import usecases
from serving.contract import field_errors
from serving.explain import Typical, explain
from serving.page import page

if TYPE_CHECKING:
    from starlette.requests import Request as Asked

PREFIX = "/models/this-one"


def number(value: Any) -> float:
    """A number for any value of a request."""
    if isinstance(value, datetime):
        return value.timestamp() / 1e6
    if isinstance(value, str):
        return float(sum(map(ord, value)))
    return -7.0 if value is None else float(value)


def predict_many(requests: list[BaseModel]) -> list[float]:
    """A model in which each field moves the answer, all by different weights."""
    return [
        sum((place + 1) * number(value) for place, value in enumerate(dict(request).values())) / 10_000
        for request in requests
    ]


@dataclass
class Address:
    """A server of which no more is known."""

    address: str


@dataclass
class Server:
    """A small endpoint under a prefix, which remembers what it was asked."""

    case: Any
    known: Typical
    key: str | None = None
    asked: list[tuple[str, Any]] = field(default_factory=list)
    address: str = ""

    async def page(self, _: Asked) -> Response:
        content, headers = page(self.case, 3)
        return Response(content, headers=headers)

    async def predict(self, request: Asked) -> Response:
        return await self.answer(request, lambda row: self.case.respond(predict_many([row])[0]).model_dump())

    async def explain(self, request: Asked) -> Response:
        return await self.answer(
            request, lambda row: explain(self.case, self.known, predict_many, row).model_dump(mode="json")
        )

    async def answer(self, request: Asked, how: Any) -> Response:
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return problem(401, "Unauthorized", "An API key is needed.")
        body = await request.body()
        self.asked.append((request.url.path, json.loads(body)))
        try:
            row = self.case.request.model_validate_json(body)
        except ValidationError as error:
            errors = [one.model_dump() for one in field_errors(error)]
            return problem(422, "Unprocessable Content", "The request is not valid.", errors)
        return JSONResponse({**how(row), "model_version": 3})

    def application(self) -> Starlette:
        routes = [
            Route("/", self.page),
            Route("/predict", self.predict, methods=["POST"]),
            Route("/explain", self.explain, methods=["POST"]),
        ]
        return Starlette(routes=[Mount(PREFIX, routes=routes)])


def problem(status: int, title: str, detail: str, errors: Any = ()) -> Response:
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse({**document, "errors": list(errors)}, status, media_type="application/problem+json")


@contextmanager
def serving(case: Any, values: dict[str, Any] | None = None, key: str | None = None) -> Iterator[Server]:
    server = Server(case, Typical(values or {}, 0.25), key)
    with running(server.application()) as address:
        server.address = f"{address}{PREFIX}"
        yield server


@contextmanager
def running(application: Any) -> Iterator[str]:
    """The address of an application that is served."""
    server = uvicorn.Server(
        uvicorn.Config(application, port=0, log_level="warning", lifespan="off", ws="none")
    )
    thread = threading.Thread(target=server.run)
    started = threading.Event()
    begin = server.startup

    async def startup(*args: Any, **more: Any) -> None:
        await begin(*args, **more)
        started.set()

    server.startup = startup
    thread.start()
    try:
        assert started.wait(20), "The server did not start."
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


class Tricky(BaseModel):
    """<img src=x onerror=document.title='caught'>"""

    word: Annotated[str, Field(max_length=60, description="<b>bold</b>")]
    zone: Annotated[
        int, Field(ge=1, le=2, json_schema_extra={"x-labels": {"1": "<i>First</i>", "2": "O'Hare"}})
    ]
    sure: bool = True
    maybe: bool | None = None


class Echo(BaseModel):
    """An answer that repeats what came."""

    said: Annotated[str, Field(description="</script><script>document.title='caught'</script>")]
    length: float


def tricky() -> Any:
    markup = "<img src=x onerror=document.title='caught'>"
    return replace(
        usecases.contract_of("taxi"),
        title="<script>document.title = 'caught'</script>",
        request=Tricky,
        respond=lambda value: Echo(said=markup, length=value),
        example={"word": markup, "zone": 1},
    )
