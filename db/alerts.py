"""The table of alerts: what was told when, and how many targets took it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import func, insert, select

from db.models import alerts
from db.session import connect


def was_taken(url: str, kind: str, use_case: str, title: str, within: timedelta) -> bool:
    """Whether this alert was taken by a target so short a time ago."""
    known = alerts.c
    query = select(known.id).where(
        known.kind == kind,
        known.use_case == use_case,
        known.title == title,
        known.taken > 0,
        known.at > func.now() - within,
    )
    with connect(url) as connection:
        return connection.execute(query.limit(1)).first() is not None


def note(url: str, *, kind: str, use_case: str, title: str, sentence: str, taken: int, failed: int) -> None:
    """Note an alert, and how many targets have taken it and how many have not."""
    row = {"kind": kind, "use_case": use_case, "title": title, "sentence": sentence}
    with connect(url) as connection:
        connection.execute(insert(alerts).values(**row, taken=taken, failed=failed))


def newest(url: str, limit: int) -> list[dict[str, Any]]:
    """The newest alerts first."""
    query = select(alerts).order_by(alerts.c.id.desc()).limit(limit)
    with connect(url) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]
