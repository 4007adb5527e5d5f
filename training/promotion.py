"""What became of a trained model version."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Promotion(BaseModel):
    """Whether the version became champion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    before: int | None
    """The champion's version before this training."""
    promoted: bool
    """The version became champion now."""
    stands: bool
    """The version already was champion: nothing changed."""
