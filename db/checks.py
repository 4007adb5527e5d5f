"""The table of checks of served models: each is noted once, and the next one begins where it ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.exc import IntegrityError

from db import events
from db.models import drift_checks
from db.session import connect, engine
from errors import DatabaseError

DRIFT = ("watch", "retrain")
"""Verdicts that people and other systems are told of."""
_TOO_FEW = "too few rows"


class RecordedCheck(BaseModel):
    """One check as it is on record."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: int
    use_case: str
    model_version: int
    since: datetime
    until: datetime
    verdict: str
    found: dict[str, Any]
    """`monitoring.check.Check` as JSON values."""
    zenml_run: str | None
    at: datetime


def record(
    url: str,
    *,
    use_case: str,
    model_version: int,
    since: datetime,
    until: datetime,
    verdict: str,
    found: dict[str, Any],
    zenml_run: str | None = None,
) -> int:
    """Note what a check found; returns its id. From then on the next check begins at `until`.

    What a run noted already, since its step is done again, is noted once.

    Raises:
        DatabaseError: a check of the use case until the same moment is on record.
    """
    values = {
        "use_case": use_case,
        "model_version": model_version,
        "since": since,
        "until": until,
        "verdict": verdict,
        "found": found,
        "zenml_run": zenml_run,
    }
    try:
        with engine(url).begin() as connection:
            query = insert(drift_checks).values(values).returning(drift_checks.c.id, drift_checks.c.at)
            number, at = connection.execute(query).one()
            if verdict in DRIFT:
                _tell(connection, number, at, values)
            return int(number)
    except IntegrityError as error:
        if "uq_drift_checks_until" not in str(error):
            raise
        there = next((one for one in listed(url, use_case) if one.until == until), None)
        if there is not None and zenml_run is not None and there.zenml_run == zenml_run:
            return there.id
        raise DatabaseError(
            f"A check of {use_case} until {until.isoformat()} is on record already: another one was quicker. "
            "Nothing was noted; look at it by: python run.py checks " + use_case
        ) from None


def _tell(connection: Connection, number: int, at: datetime, check: dict[str, Any]) -> None:
    """Note for other systems that the model in service drifts."""
    events.note(
        connection,
        "modelyard.drift",
        of=f"check {number}",
        moment=at,
        source="/modelyard/checks",
        subject=check["use_case"],
        data={
            "use_case": check["use_case"],
            "model_version": check["model_version"],
            "verdict": check["verdict"],
            "findings": [finding["sentence"] for finding in check["found"].get("findings", [])],
            "since": check["since"].isoformat(),
            "until": check["until"].isoformat(),
            "check": number,
            "zenml_run": check["zenml_run"],
        },
    )


def newest(url: str, use_case: str) -> RecordedCheck | None:
    """The check whose time ended last, or None."""
    found = listed(url, use_case, limit=1)
    return found[0] if found else None


def listed(url: str, use_case: str, limit: int = 100) -> list[RecordedCheck]:
    """The checks of a use case, those whose time ended last first."""
    query = (
        select(drift_checks)
        .where(drift_checks.c.use_case == use_case)
        .order_by(drift_checks.c.until.desc())
        .limit(limit)
    )
    with connect(url) as connection:
        return [RecordedCheck.model_validate(row) for row in connection.execute(query)]


def of_each(url: str) -> list[RecordedCheck]:
    """The newest check of each use case that has one."""
    query = (
        select(drift_checks)
        .distinct(drift_checks.c.use_case)
        .order_by(drift_checks.c.use_case, drift_checks.c.until.desc())
    )
    with connect(url) as connection:
        return [RecordedCheck.model_validate(row) for row in connection.execute(query)]


def watermark(url: str, use_case: str) -> datetime | None:
    """Up to when the use case was checked, or None.

    What were too few rows to tell anything is looked at again, together with what came since: otherwise
    checks that are made often would never see enough.
    """
    query = select(func.max(drift_checks.c.until)).where(
        drift_checks.c.use_case == use_case, drift_checks.c.verdict != _TOO_FEW
    )
    with connect(url) as connection:
        found: datetime | None = connection.execute(query).scalar_one()
        return found


def now(url: str) -> datetime:
    """The server's time, by which outcomes are received."""
    with connect(url) as connection:
        moment: datetime = connection.execute(text("SELECT now()")).scalar_one()
        return moment
