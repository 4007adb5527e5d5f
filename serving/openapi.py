"""The OpenAPI 3.1 document of an endpoint; its schemas are the use case's own contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field, create_model
from pydantic.json_schema import models_json_schema

from serving.contract import MAX_ROWS, MAX_TABLE_BYTES, Problem, batch_request
from serving.explain import Explanation
from serving.outcomes import Accepted, Outcomes

if TYPE_CHECKING:
    from usecases.contract import Contract

ARROW = "application/vnd.apache.arrow.stream"


def openapi(contract: Contract, version: int) -> dict[str, Any]:
    """What can be asked of version `version`, and what it answers."""
    # A response's fields don't depend on its value.
    response = type(contract.respond(0.5))
    numbered = Annotated[int, Field(description="Version of the model that answered.")]
    prediction = create_model("Prediction", __base__=response, model_version=numbered)
    predictions = create_model("Predictions", predictions=list[response], model_version=numbered)  # type: ignore[valid-type]
    batch = batch_request(contract)
    explanation = Explanation[response]  # type: ignore[valid-type]
    taken, given = (
        (contract.request, batch, Outcomes),
        (prediction, predictions, explanation, Accepted, Problem),
    )
    reference, document = models_json_schema(
        [*((model, "validation") for model in taken), *((model, "serialization") for model in given)],
        ref_template="#/components/schemas/{model}",
    )

    def json_of(model: type[BaseModel], example: Any = None) -> dict[str, Any]:
        mode: Any = "validation" if model in taken else "serialization"
        schema = {"schema": reference[model, mode]}
        return {"application/json": schema if example is None else {**schema, "example": example}}

    def post(summary: str, said: str, taken: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        problem = {"application/problem+json": {"schema": reference[Problem, "serialization"]}}
        refused = {status: {"description": why, "content": problem} for status, why in _REFUSALS.items()}
        answered = {"description": said, "headers": _HEADERS, "content": given}
        operation = {
            "summary": summary,
            "parameters": _PARAMETERS,
            "requestBody": {"required": True, "content": taken},
            "responses": {"200": answered, **refused},
            "security": [{}, {"key": []}, {"bearer": []}],
        }
        return {"post": operation}

    one = json_of(contract.request, dict(contract.example))
    table = {ARROW: {"schema": {"type": "string", "format": "binary"}}}
    many = json_of(batch, {"rows": [dict(contract.example)]}) | table
    outcome = {"outcomes": [{"request_id": "5f0c8a5e9d3b4a4700000000000000a1", "row": 0, "value": 1.0}]}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": contract.title,
            "version": str(version),
            "description": f"Version {version} of the model `{contract.name}`. Existing clients of the Open "
            f"Inference Protocol ask `v2/models/{contract.name}/infer`. Integers are written without a "
            "point, `2` and not `2.0`; a field that is given twice is refused.",
        },
        "servers": [{"url": "."}],
        "paths": {
            "/predict": post("Predict for one request", "The prediction.", one, json_of(prediction)),
            "/predict_batch": post(
                f"Predict for many: {MAX_ROWS:,} rows as JSON, or {MAX_TABLE_BYTES // 1_000_000} MB of Arrow",
                "In the rows' order.",
                many,
                json_of(predictions) | table,
            ),
            "/explain": post("Predict, and say why", "What each field does.", one, json_of(explanation)),
            "/outcomes": post(
                "Tell what really came of predictions",
                "Taken.",
                json_of(Outcomes, outcome),
                json_of(Accepted),
            ),
            "/model": {
                "get": _get(
                    "What the served model is made of", {"application/json": {"schema": {"type": "object"}}}
                )
            },
            **{path: {"get": _get(summary, _TEXT)} for path, summary in _PROBES.items()},
        },
        "components": {"schemas": document["$defs"], "securitySchemes": _KEYS},
    }


_TEXT = {"text/plain": {"schema": {"type": "string"}}}
_PROBES = {
    "/livez": "Whether the process is alive",
    "/readyz": "Whether the model is loaded and answers as it should",
    "/healthz": "The same as /livez",
    "/metrics": "Counts and durations of requests, for Prometheus",
}
_REFUSALS = {
    "400": "The body is not what its Content-Type says.",
    "401": "A key is needed.",
    "403": "The key does not allow this.",
    "408": "The body did not arrive in time.",
    "413": "The body is too large.",
    "415": "The Content-Type is not taken here, or there is a Content-Encoding.",
    "422": "The request is not valid; the fields to blame are named.",
    "503": "Too much to do; Retry-After says when to come again.",
}
_HEADERS = {
    "Model-Version": {"description": "Version of the model that answered.", "schema": {"type": "integer"}},
    "X-Request-ID": {"description": "What outcomes name the prediction by.", "schema": {"type": "string"}},
}
_PARAMETERS = [
    # Without patterns: a value of another form is no mistake that a request is refused for.
    {"name": name, "in": "header", "required": False, "description": said, "schema": {"type": "string"}}
    for name, said in (
        (
            "X-Request-ID",
            "An id of your own instead of the endpoint's: up to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`; "
            "anything else is ignored.",
        ),
        ("traceparent", "W3C trace context; its trace id is logged. Anything else is ignored."),
    )
]
_KEYS = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}


def _get(summary: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": {"description": "As asked.", "content": content}}}
