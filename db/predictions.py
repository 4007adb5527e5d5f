"""What endpoints have logged: read, given up by age, and the role that they log in with."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import encrypt_password
from sqlalchemy import delete, func, select, text
from sqlalchemy.engine import make_url

from db.databases import text as as_text
from db.models import outcomes, predictions, stream_events
from db.session import connect
from errors import DatabaseError

ROLE = "modelyard_endpoint"

_PARTITIONS = """
SELECT inhrelid::regclass::text FROM pg_inherits
WHERE inhparent = 'public.predictions'::regclass ORDER BY 1
"""
_RIGHTS = (
    "GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {role}",
    "GRANT USAGE ON SCHEMA public TO {role}",
    "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}",
    "GRANT INSERT ON public.predictions TO {role}",
    "GRANT INSERT, SELECT, UPDATE ON public.outcomes TO {role}",
    "GRANT INSERT, SELECT, DELETE ON public.shipped_segments TO {role}",
    # Streams, which log as endpoints do.
    "GRANT INSERT, SELECT, UPDATE ON public.stream_places TO {role}",
    "GRANT INSERT, SELECT ON public.stream_events TO {role}",
    # Databases that were restored have forgotten it.
    "REVOKE ALL ON FUNCTION public.prediction_partition(date) FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION public.prediction_partition(date) TO {role}",
)


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

    Returns the days, as 2026-11-26; with `dry_run` they are only told.
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
    return [day.isoformat() for day in old]


def make_role(url: str, password: str) -> None:
    """Make the login that can only log predictions, on the migrated database at `url`; or renew its password.

    The server gets a hash of the password, so that no log of statements has it.

    Raises:
        DatabaseError: the role of `url` may not make roles.
    """
    target = make_url(url)
    names = {"role": sql.Identifier(ROLE), "database": sql.Identifier(str(target.database))}
    with closing(psycopg2.connect(as_text(target.set(drivername="postgresql")))) as connection:
        hashed = encrypt_password(password, ROLE, connection, "scram-sha-256")
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", (ROLE,))
                verb = "ALTER" if cursor.rowcount else "CREATE"
                login = sql.SQL(verb + " ROLE {role} LOGIN PASSWORD {hashed}")
                cursor.execute(login.format(**names, hashed=sql.Literal(hashed)))
                for right in _RIGHTS:
                    cursor.execute(sql.SQL(right).format(**names))
        except psycopg2.errors.InsufficientPrivilege as error:
            raise DatabaseError(
                f"{target.username} may not make the role {ROLE}: {str(error).strip()}\n"
                f"Ask an administrator: ALTER ROLE {target.username} CREATEROLE;"
            ) from None
