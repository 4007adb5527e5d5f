"""What really came of predictions, as an application tells it: by the request's id and the row in it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MAX_OUTCOMES = 10_000


class Outcome(BaseModel):
    """What came of one prediction."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    request_id: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="The answer's header X-Request-ID.")
    ]
    row: Annotated[int, Field(ge=0, lt=2**31, description="Row within a batch, from 0.")] = 0
    value: Annotated[float, Field(description="What was predicted, as it turned out; of a class 0 or 1.")]


class Outcomes(BaseModel):
    """Many at once. Told twice is told once; told anew, the last one holds."""

    model_config = ConfigDict(strict=True, extra="forbid")

    outcomes: Annotated[list[Outcome], Field(min_length=1, max_length=MAX_OUTCOMES)]


class Accepted(BaseModel):
    """Outcomes that were taken; they are in the database within seconds."""

    accepted: int
