"""What an application sends and gets: one passenger, and whether they would have survived."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from usecases.contract import Contract


class PassengerRequest(BaseModel):
    """A passenger, by the columns of the list."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)

    Pclass: Annotated[int, Field(ge=1, le=3, description="Class of the ticket.")]
    Sex: Annotated[Literal["female", "male"], Field(description="As the list has it.")]
    Age: Annotated[float | None, Field(ge=0, le=120, description="Years; null when unknown.")] = None
    SibSp: Annotated[int, Field(ge=0, le=20, description="Siblings and spouses aboard.")] = 0
    Parch: Annotated[int, Field(ge=0, le=20, description="Parents and children aboard.")] = 0
    Fare: Annotated[float | None, Field(ge=0, le=1000, description="Pounds; null when unknown.")] = None
    Embarked: Annotated[
        Literal["C", "Q", "S"] | None,
        Field(description="Cherbourg, Queenstown, Southampton; null when unknown."),
    ] = None


class PassengerResponse(BaseModel):
    """Whether the passenger would have survived."""

    survived: bool
    probability: Annotated[float, Field(description="Of survival, 0 to 1.")]


def respond(prediction: float) -> PassengerResponse:
    """Probability → response; more likely than not counts as survived."""
    return PassengerResponse(survived=prediction >= 0.5, probability=prediction)


CONTRACT = Contract(
    name="titanic",
    title="Survival of a passenger of the Titanic",
    task="classification",
    request=PassengerRequest,
    respond=respond,
    example={
        "Pclass": 2,
        "Sex": "female",
        "Age": 31.0,
        "SibSp": 1,
        "Parch": 0,
        "Fare": 26.0,
        "Embarked": "S",
    },
)
