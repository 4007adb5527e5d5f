"""What an endpoint knows of a use case: what it is asked, what it answers.

A use case's `contract.py` defines `CONTRACT: Contract`. Endpoints import it without pandas and scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel


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
