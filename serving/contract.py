"""What an endpoint takes and gives: the use case's request and response, strictly kept, as OpenAPI."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from errors import UsageError

if TYPE_CHECKING:
    from usecases.contract import Contract

MAX_ROWS = 1_000
"""Rows that one batch may hold: the answer takes a fraction of a second, so no health probe waits long."""
MAX_BODY_BYTES = 2_000_000
"""Size that a body of JSON may have; enough for `MAX_ROWS` rows of two kilobytes."""
MAX_TABLE_BYTES = 64_000_000
"""Size that a body of Arrow may have: about a million rows of eight columns."""

MAX_ERRORS = 100
"""Reasons that one refusal lists: a body full of mistakes must not make an answer larger than itself."""

_SHOWN = 100
"""Characters of a refused value or field name that an error repeats."""


class FieldError(BaseModel):
    """One reason for which a request was refused."""

    field: str = Field(description="Path of the field, such as `trip_distance` or `rows.3.trip_distance`.")
    message: str = Field(description="What was expected.")
    value: Any = Field(default=None, description="What came; left out when it is not a plain value.")


class Problem(BaseModel):
    """A request that was not answered as asked; RFC 9457."""

    type: str = Field(description="Always about:blank: the status says what kind of problem it is.")
    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field(description="Why, in one sentence.")
    errors: list[FieldError] = Field(
        description="What is wrong, field by field; empty when no field is to blame."
    )


def batch_request(contract: Contract) -> type[BaseModel]:
    """Strict model of many requests: `{"rows": [request, …]}`."""
    rows: Any = Annotated[
        list[contract.request],  # type: ignore[name-defined]
        Field(min_length=1, max_length=MAX_ROWS, description=f"Requests, at most {MAX_ROWS:,}."),
    ]
    return create_model(
        f"{contract.request.__name__}Batch",
        __config__=ConfigDict(
            extra="forbid", strict=True, json_schema_extra={"example": {"rows": [dict(contract.example)]}}
        ),
        __doc__="Many requests at once.",
        rows=rows,
    )


def check(contract: Contract) -> None:
    """Make sure that the request model takes the example and refuses what it must never let through.

    Raises:
        UsageError: it refuses its example, or takes an unknown field, NaN, an infinity, or text for a number.
    """
    example = dict(contract.example)
    try:
        contract.request.model_validate_json(json.dumps(example))
    except ValidationError as error:
        raise UsageError(f"The example of {contract.name} is not a valid request: {error}") from None
    bad: list[tuple[str, Any]] = [("unknown_field", 1)]
    for name, value in example.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            bad += [(name, wrong) for wrong in (float("nan"), float("inf"), -float("inf"), str(value), True)]
    for name, wrong in bad:
        try:
            contract.request.model_validate_json(json.dumps(example | {name: wrong}))
        except ValidationError:
            continue
        raise UsageError(
            f"The request model of {contract.name} takes {name} = {wrong!r}, which an endpoint must refuse: "
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


def _shown(value: Any) -> Any:
    """A refused value as JSON can hold it, long ones cut; None for what is no plain value."""
    if isinstance(value, str):
        return value if len(value) <= _SHOWN else value[:_SHOWN] + "…"
    if isinstance(value, float) and not abs(value) < float("inf"):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**63:
        return _shown(str(value) if abs(value) < 10**_SHOWN else "a number of more than 100 digits")
    return value if isinstance(value, bool | int | float) else None
