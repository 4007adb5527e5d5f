"""What endpoints have logged: read, and given up by age."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from db.models import cleanings, outcomes, predictions, stream_events
from db.session import connect

_PARTITIONS = """
SELECT inhrelid::regclass::text FROM pg_inherits
WHERE inhparent = 'public.predictions'::regclass ORDER BY 1
"""


def count_by_day(url: str, use_case: str) -> dict[date, int]:
    """How many predictions there are of each day, in UTC, oldest first."""
    day = func.date(func.timezone("UTC", predictions.c.at)).label("day")
    query = (
        select(day, func.count().label("rows"))
        .where(predictions.c.use_case == use_case)
        .group_by(day)
        .order_by(day)
    )
    with connect(url) as connection:
        return {row.day: row.rows for row in connection.execute(query)}


def latest(url: str, use_case: str, limit: int) -> list[dict[str, Any]]:
    """The newest predictions with what came true of them (`value`, or None), newest first."""
    known = outcomes.c
    query = (
        select(predictions, known.value)
        .outerjoin(
            outcomes,
            (known.use_case == predictions.c.use_case)
            & (known.request_id == predictions.c.request_id)
            & (known.row == predictions.c.row),
        )
        .where(predictions.c.use_case == use_case)
        .order_by(predictions.c.at.desc(), predictions.c.request_id, predictions.c.row)
        .limit(limit)
    )
    with connect(url) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def drop_older(url: str, days: int, *, dry_run: bool = False) -> list[str]:
    """Drop the partitions of days that ended more than `days` days ago; outcomes and notes of events as old.

    From which day on rows were kept is noted in `cleanings`. Returns the days that went, as 2026-11-26; with
    `dry_run` they are only told.
    """
    first = datetime.now(UTC).date() - timedelta(days=days)
    with connect(url) as connection:
        partitions = {
            datetime.strptime(name.rpartition("_")[2], "%Y%m%d").replace(tzinfo=UTC).date(): name
            for name in connection.execute(text(_PARTITIONS)).scalars()
        }
        old = [day for day in sorted(partitions) if day < first]
        if not dry_run:
            for day in old:
                connection.execute(text(f"DROP TABLE {partitions[day]}"))
            start = datetime(first.year, first.month, first.day, tzinfo=UTC)
            connection.execute(delete(outcomes).where(outcomes.c.at < start))
            connection.execute(delete(stream_events).where(stream_events.c.at < start))
            connection.execute(insert(cleanings).values(kept_from=first).on_conflict_do_nothing())
    return [day.isoformat() for day in old]
