"""Every path of an endpoint: its methods, who may ask, how large a body may be, what answers it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from serving import explain
from serving.contract import MAX_BODY_BYTES, MAX_TABLE_BYTES, FieldError, field_errors
from serving.http import tables
from serving.http.messages import JSON, Headers, Refused
from serving.http.swagger import swagger
from serving.outcomes import Accepted, Outcomes
from serving.repeated import repeated

if TYPE_CHECKING:
    from serving.http.messages import Call
    from serving.worker import Worker

Answer = tuple[bytes, bytes, Headers]
"""Content type, body, further headers."""


@dataclass(frozen=True)
class Route:
    """How requests to a path are answered."""

    name: str
    """What metrics call it."""
    methods: tuple[str, ...]
    handle: Callable[[Worker, Call], Answer | Awaitable[Answer]]
    """At once when it takes less than a millisecond; otherwise by something to wait for."""
    right: str | None = None
    """What a key must allow."""
    limit: int = 0
    """Bytes that a body may have."""


def find(path: str) -> Route | None:
    """The route of a path, if it has one."""
    return _ROUTES.get(path) or _of_the_protocol(path)


def _of_the_protocol(path: str) -> Route | None:
    found = tables.find(path) if path.startswith("/v2") else None
    if found is None:
        return None
    name, handle = found
    if name == "infer":
        return Route(name, _POST, handle, "predict", MAX_TABLE_BYTES)
    return Route(name, _GET, handle)


def _predict(worker: Worker, call: Call) -> Answer:
    request = _valid(worker.endpoint.validate, call)
    output = worker.endpoint.output(request)
    worker.predicted(call, request, output)
    return JSON, worker.endpoint.answer(output), ()


async def _predict_batch(worker: Worker, call: Call) -> Answer:
    if call.type == tables.ARROW:
        return await tables.predict_table(worker, call)
    if len(call.body) > MAX_BODY_BYTES:
        raise Refused(
            413, f"JSON may have at most {MAX_BODY_BYTES:,} bytes; send fewer rows, or Arrow.", "too_large"
        )
    requests = _valid(worker.endpoint.validate_batch, call)
    outputs = await worker.in_turn(worker.endpoint.outputs, requests)
    worker.predicted_batch(call, requests, outputs)
    return JSON, worker.endpoint.answer_batch(outputs), ()


async def _explain(worker: Worker, call: Call) -> Answer:
    request = _valid(worker.endpoint.validate, call)
    found = await worker.in_turn(
        explain.explain, worker.endpoint.contract, worker.typical, worker.endpoint.predict_many, request
    )
    return JSON, found.model_dump_json().encode(), ()


def _outcomes(worker: Worker, call: Call) -> Answer:
    found = _valid(Outcomes.model_validate_json, call)
    return JSON, Accepted(accepted=worker.outcomes(found.outcomes)).model_dump_json().encode(), ()


def _model(worker: Worker, call: Call) -> Answer:
    return JSON, json.dumps(worker.endpoint.describe()).encode(), ()


def _openapi(worker: Worker, call: Call) -> Answer:
    return JSON, worker.endpoint.openapi, ()


def _metrics(worker: Worker, call: Call) -> Answer:
    return b"text/plain; version=0.0.4; charset=utf-8", worker.metrics.exposition(), ()


def _page(worker: Worker, call: Call) -> Answer:
    document, headers = worker.page
    return b"text/html; charset=utf-8", document, headers


def _swagger(worker: Worker, call: Call) -> Answer:
    return b"text/html; charset=utf-8", swagger(worker.endpoint.contract.title), ()


def _unknown(worker: Worker, call: Call) -> Answer:
    raise Refused(404, "There is no such path; / and docs.json say which there are.", "invalid")


def _valid(validate: Callable[[bytes], Any], call: Call) -> Any:
    """The body, valid.

    Raises:
        Refused: it is not declared as JSON, is none, says something twice, or is not what the endpoint takes.
    """
    if not _is_json(call):
        came = f"{call.type.decode('latin-1')!r}"[:100] if call.type else "none"
        raise Refused(415, f"The header Content-Type must be application/json; it is {came}.", "invalid")
    try:
        valid = validate(call.body)
    except ValidationError as error:
        raise _refusal(error, call.body) from None
    if key := repeated(call.body, _keys(valid)):
        twice = FieldError(field=key, message="Is given more than once.")
        raise Refused(422, f"The request is not valid; look at {key}.", "invalid", errors=[twice])
    return valid


def _keys(valid: Any) -> int:
    """How many keys of objects a valid body has; rows lie in one that has one key."""
    if isinstance(valid, list):
        return 1 + sum(len(row.__pydantic_fields_set__) for row in valid)
    return len(valid.__pydantic_fields_set__)


def _is_json(call: Call) -> bool:
    return call.type == JSON or call.type.partition(b";")[0].strip().lower() == JSON


def _refusal(error: ValidationError, body: bytes) -> Refused:
    if not body.strip():
        return Refused(
            400, "The body is empty; a JSON object with the request's fields was expected.", "invalid"
        )
    fields = field_errors(error)
    # A body that is no JSON object is one error, of no field; listing thousands twice would take seconds.
    alone = error.errors(include_url=False)[0] if error.error_count() == 1 else None
    if alone and alone["type"] == "json_invalid":
        reason = fields[0].message.removeprefix("Invalid JSON: ")
        return Refused(400, f"The body is not JSON: {reason}.", "invalid")
    if alone and not alone["loc"]:
        message = f"The body is not a JSON object with the request's fields: {fields[0].message}."
        return Refused(422, message, "invalid")
    named = ", ".join(dict.fromkeys(field.field or '""' for field in fields[:10]))
    left = error.error_count() - 10
    more = f" and at {left:,} more" if left > 0 else ""
    return Refused(422, f"The request is not valid; look at {named}{more}.", "invalid", errors=fields)


UNKNOWN = Route("other", ("GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"), _unknown)
_GET, _POST = ("GET", "HEAD"), ("POST",)
_ROUTES = {
    "/predict": Route("predict", _POST, _predict, "predict", MAX_BODY_BYTES),
    "/predict_batch": Route("predict_batch", _POST, _predict_batch, "predict", MAX_TABLE_BYTES),
    "/explain": Route("explain", _POST, _explain, "predict", MAX_BODY_BYTES),
    "/outcomes": Route("outcomes", _POST, _outcomes, "outcomes", MAX_BODY_BYTES),
    "/model": Route("other", _GET, _model),
    "/docs.json": Route("other", _GET, _openapi),
    "/docs": Route("other", _GET, _swagger),
    "/metrics": Route("other", _GET, _metrics),
    "/": Route("other", _GET, _page),
}
