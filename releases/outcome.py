"""What came of a release, on this machine or in a cluster."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Outcome(BaseModel):
    """What came of a release."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    release: int
    model_version: int
    bento: str
    address: str
    changed: bool
    """Whether another process serves now than before."""
    verified: int
    """How many answers were compared with offline predictions."""
    before: int | None
    """Model version that was served before."""
    image: str | None = None
    """What pods of a cluster run: a reference by digest."""
    seconds: dict[str, float] = {}
    """How long each part of a release in a cluster took."""
    stream: str | None = None
    """Deployment in a cluster whose workers score events: by this version, too, if there was no trouble."""
    stream_trouble: str | None = None
    """Why its workers of before work on."""
    withdrawn: str | None = None
    """Why a canary was taken back; then what served before still serves."""
