"""The request as FastAPI can take it: it parses JSON itself, so strictness would refuse every time."""

from __future__ import annotations

from pydantic import ConfigDict

from usecases.taxi.contract import TripRequest


class Trip(TripRequest):
    """Ranges are checked, unknown fields refused."""

    model_config = ConfigDict(strict=False)
