"""What one kind of endpoint takes and gives; `models` has one for each that the client was generated for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """What all models have in common: NaN and infinities, which JSON has not, are refused."""

    model_config = ConfigDict(allow_inf_nan=False)


Request = TypeVar("Request", bound=BaseModel)
Prediction = TypeVar("Prediction", bound=BaseModel)
Explanation = TypeVar("Explanation", bound=BaseModel)


@dataclass(frozen=True)
class UseCase(Generic[Request, Prediction, Explanation]):
    """The models of one use case's endpoint."""

    name: str
    request: type[Request]
    prediction: type[Prediction]
    explanation: type[Explanation]
