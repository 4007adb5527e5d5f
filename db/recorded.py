"""A row of the table of releases as it travels: from the platform's server to clients, and to reports."""

from __future__ import annotations

from datetime import datetime

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
    created_at: datetime
    verified_at: datetime | None
    ended_at: datetime | None
