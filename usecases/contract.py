"""What an endpoint knows of a use case: what it is asked, what it answers.

A use case's `contract.py` defines `CONTRACT: Contract`. Endpoints import it without pandas and scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel

from errors import UsageError

# A prediction that no response has in another field by chance.
_TELLTALE = 0.2718281828


@dataclass(frozen=True)
class Contract:
    """The agreement between an application and every model version of a use case."""

    name: str
    title: str
    task: Literal["regression", "classification"]
    request: type[BaseModel]
    """Strict model of one request; its fields are the columns that features are made of."""
    respond: Callable[[float], BaseModel]
    """Prediction → response."""
    example: Mapping[str, Any]
    """A request that gets a sensible answer, as JSON values."""

    @property
    def request_columns(self) -> list[str]:
        """Columns known at request time, in the request model's order."""
        return list(self.request.model_fields)

    @cached_property
    def prediction_field(self) -> str:
        """The field of a response that holds the prediction itself, to be read back from what was answered.

        Raises:
            UsageError: none holds it, or several do.
        """
        response = self.respond(_TELLTALE)
        found = [name for name, value in response if value == _TELLTALE]
        if len(found) != 1:
            raise UsageError(
                f"One field of {type(response).__name__} must hold the prediction as it is, since it is read "
                f"back from what was answered; {', '.join(found) or 'none'} does."
            )
        return found[0]
