"""What an endpoint takes and gives: the use case's request and response, strictly kept, as OpenAPI."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.json_schema import models_json_schema

from errors import UsageError

if TYPE_CHECKING:
    from usecases.base import UseCase

MAX_ROWS = 1_000
"""Rows that one batch may hold: the answer takes a fraction of a second, so no health probe waits long."""
MAX_BODY_BYTES = 2_000_000
"""Size that a request's body may have; enough for `MAX_ROWS` rows of two kilobytes."""

MAX_ERRORS = 100
"""Reasons that one refusal lists: a body full of mistakes must not make an answer larger than itself."""

_SHOWN = 100
"""Characters of a refused value or field name that an error repeats."""


class FieldError(BaseModel):
    """One reason for which a request was refused."""

    field: str = Field(description="Path of the field, such as `trip_distance` or `rows.3.trip_distance`.")
    message: str = Field(description="What was expected.")
    value: Any = Field(default=None, description="What came; left out when it is not a plain value.")


class Error(BaseModel):
    """A refused request."""

    error: str = Field(description="Why, in one sentence.")
    fields: list[FieldError] = Field(
        description="What is wrong, field by field; empty when no field is to blame."
    )


def batch_request(use_case: UseCase) -> type[BaseModel]:
    """Strict model of many requests: `{"rows": [request, …]}`."""
    rows: Any = Annotated[
        list[use_case.request],  # type: ignore[name-defined]
        Field(min_length=1, max_length=MAX_ROWS, description=f"Requests, at most {MAX_ROWS:,}."),
    ]
    return create_model(
        f"{use_case.request.__name__}Batch",
        __config__=ConfigDict(
            extra="forbid", strict=True, json_schema_extra={"example": {"rows": [dict(use_case.example)]}}
        ),
        __doc__="Many requests at once.",
        rows=rows,
    )


def check(use_case: UseCase) -> None:
    """Make sure that the request model takes the example and refuses what it must never let through.

    Raises:
        UsageError: it refuses its example, or takes an unknown field, NaN, an infinity, or text for a number.
    """
    example = dict(use_case.example)
    try:
        use_case.request.model_validate_json(json.dumps(example))
    except ValidationError as error:
        raise UsageError(f"The example of {use_case.name} is not a valid request: {error}") from None
    bad: list[tuple[str, Any]] = [("unknown_field", 1)]
    for name, value in example.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            bad += [(name, wrong) for wrong in (float("nan"), float("inf"), -float("inf"), str(value), True)]
    for name, wrong in bad:
        try:
            use_case.request.model_validate_json(json.dumps(example | {name: wrong}))
        except ValidationError:
            continue
        raise UsageError(
            f"The request model of {use_case.name} takes {name} = {wrong!r}, which an endpoint must refuse: "
            "give it ConfigDict(strict=True, extra='forbid', allow_inf_nan=False)."
        )


def field_errors(error: ValidationError) -> list[FieldError]:
    """What is wrong with a request, in the words of its fields: the first `MAX_ERRORS` reasons."""
    return [
        FieldError(
            field=_shown(".".join(str(part) for part in problem["loc"])),
            message=problem["msg"],
            value=_shown(problem["input"]),
        )
        for problem in error.errors(include_url=False, include_context=False)[:MAX_ERRORS]
    ]


def openapi(use_case: UseCase, response: type[BaseModel], version: int) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the endpoint; its schemas are the request's and the response's contract."""
    numbered = Annotated[int, Field(description="Version of the model that answered.")]
    prediction = create_model("Prediction", __base__=response, model_version=numbered)
    predictions = create_model("Predictions", predictions=list[response], model_version=numbered)  # type: ignore[valid-type]
    batch = batch_request(use_case)
    reference, document = models_json_schema(
        [
            (use_case.request, "validation"),
            (batch, "validation"),
            (prediction, "serialization"),
            (predictions, "serialization"),
            (Error, "serialization"),
        ],
        ref_template="#/components/schemas/{model}",
    )

    def content(model: type[BaseModel], mode: Any = "serialization", **more: Any) -> dict[str, Any]:
        return {"application/json": {"schema": reference[model, mode], **more}}

    example = dict(use_case.example)
    error = {"description": "Refused; the fields to blame are named.", "content": content(Error)}
    refused = dict.fromkeys(("400", "413", "415", "422"), error)
    predict = {
        "summary": "Predict for one request",
        "requestBody": {
            "required": True,
            "content": content(use_case.request, "validation", example=example),
        },
        "responses": {"200": {"description": "The prediction.", "content": content(prediction)}} | refused,
    }
    predict_batch = {
        "summary": f"Predict for up to {MAX_ROWS:,} requests",
        "requestBody": {
            "required": True,
            "content": content(batch, "validation", example={"rows": [example]}),
        },
        "responses": {"200": {"description": "In the rows' order.", "content": content(predictions)}}
        | refused,
    }
    model = {"application/json": {"schema": {"type": "object"}}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": use_case.title,
            "version": str(version),
            "description": f"Version {version} of the model `{use_case.name}`.",
        },
        "servers": [{"url": "."}],
        "paths": {
            "/predict": {"post": predict},
            "/predict_batch": {"post": predict_batch},
            "/model": {"get": _get("What the served model is made of", model)},
            **{path: {"get": _get(summary, _TEXT)} for path, summary in _PROBES.items()},
        },
        "components": {"schemas": document["$defs"]},
    }


_TEXT = {"text/plain": {"schema": {"type": "string"}}}
_PROBES = {
    "/livez": "Whether the process is alive",
    "/readyz": "Whether the model is loaded and answers as it should",
    "/healthz": "The same as /livez",
    "/metrics": "Counts and durations of requests, for Prometheus",
}


def _get(summary: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": {"description": "As asked.", "content": content}}}


def _shown(value: Any) -> Any:
    """A refused value as JSON can hold it, long ones cut; None for what is no plain value."""
    if isinstance(value, str):
        return value if len(value) <= _SHOWN else value[:_SHOWN] + "…"
    if isinstance(value, float) and not abs(value) < float("inf"):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**63:
        return _shown(str(value) if abs(value) < 10**_SHOWN else "a number of more than 100 digits")
    return value if isinstance(value, bool | int | float) else None
