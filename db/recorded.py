"""What is on record of releases as it travels: from the platform's server to clients, and to reports."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

PATH = "/modelyard/releases"
"""Where a platform's MLflow server has the record of releases."""


class Recorded(BaseModel):
    """One release as it is on record; `db.models.Release` says what the fields are."""

    # Not strict about what is more: the server's version may be newer than its client's.
    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: int
    use_case: str
    model_version: int
    bento: str
    image: str | None
    target: str
    status: str
    why: str | None
    reason: str | None
    address: str | None
    pid: int | None
    pid_started: float | None
    released_by: str
    zenml_run: str | None
    evidence: dict[str, Any] | None = None
    created_at: datetime
    verified_at: datetime | None
    ended_at: datetime | None


class Approval(BaseModel):
    """That somebody found a model version fit to be released."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: int
    use_case: str
    model_version: int
    model: str
    """Digest of the version's files when it was approved."""
    note: str | None
    approved_by: str
    at: datetime


class Entry(BaseModel):
    """One row of the audit trail."""

    model_config = ConfigDict(frozen=True)

    text: str
    """A JSON array: the hash before, number, microseconds since 1970, use case, release, event, row."""
    hash: str
    """SHA-256 of `text`, as it was when the row was written."""


class Trail(BaseModel):
    """The audit trail, and what it is about, as they were at one moment."""

    model_config = ConfigDict(frozen=True)

    entries: list[Entry]
    releases: list[dict[str, Any]]
    approvals: list[dict[str, Any]]
    protection: str
    """What keeps the trail from being changed, a sentence."""
    off: list[str]
    """Triggers that are off or gone."""
