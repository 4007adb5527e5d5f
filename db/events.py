"""The outbox of events: each is noted in the transaction of what it tells of, and brought to targets later.

So nothing happens untold, whatever is killed, and nothing is told that did not happen. An event that no
target has taken within `TRIED` is given up; after `KEPT` it is forgotten.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import event_deliveries, events
from db.session import connect

Type = Literal["modelyard.release", "modelyard.rollback", "modelyard.drift", "modelyard.test"]

TRIED = timedelta(days=3)
KEPT = timedelta(days=90)
_IDS = uuid.UUID("6f2c1f4e-8d0b-5a54-9a37-2f7a2d1c9b60")


class Event(NamedTuple):
    """What happened, by the names of CloudEvents."""

    number: int
    id: str
    type: str
    source: str
    subject: str
    data: Mapping[str, Any]
    at: datetime


class Waiting(NamedTuple):
    """An event that a target is to take."""

    event: Event
    attempts: int
    """How often it was tried."""
    seconds: float
    """Until it is due; 0 or less when it is."""
    problem: str | None
    """Of the last attempt."""


def note(
    within: Session | Connection,
    type: Type,
    *,
    of: str,
    moment: datetime,
    source: str,
    subject: str,
    data: Mapping[str, Any],
) -> None:
    """Note an event in the transaction of what happened.

    `of` and `moment` say what that is, such as `release 7` and when it was begun: the same is one event,
    whose id they make.
    """
    made = str(uuid.uuid5(_IDS, f"{type} {of} {moment.timestamp():.6f}"))
    row = {"id": made, "type": type, "source": source, "subject": subject, "data": dict(data)}
    within.execute(insert(events).values(row).on_conflict_do_nothing(index_elements=["id"]))


def waiting(url: str, target: str) -> list[Waiting]:
    """Events that the target has neither taken nor refused, the oldest first: later ones wait for it."""
    done = event_deliveries.c
    query = (
        select(
            *events.c,
            func.coalesce(done.attempts, 0),
            func.coalesce(func.extract("epoch", done.due - func.now()), 0),
            done.problem,
        )
        .select_from(events)
        .outerjoin(event_deliveries, (done.event == events.c.number) & (done.target == target))
        .where(events.c.at > func.now() - TRIED, or_(done.event.is_(None), done.due.is_not(None)))
        .order_by(events.c.number)
    )
    with connect(url) as connection:
        return [
            Waiting(Event(*row[:7]), int(row[7]), float(row[8]), row[9]) for row in connection.execute(query)
        ]


def hurry(url: str) -> None:
    """Let all that waits be due now."""
    with connect(url) as connection:
        connection.execute(
            update(event_deliveries).where(event_deliveries.c.due > func.now()).values(due=func.now())
        )


def tried(url: str, event: int, target: str, problem: str | None, again: float | None) -> None:
    """Note an attempt: taken, or a problem, after which it is due `again` in so many seconds, or never."""
    due = None if again is None else func.now() + timedelta(seconds=again)
    row = {"event": event, "target": target, "attempts": 1, "problem": problem, "due": due}
    noted = insert(event_deliveries).values(row)
    changed = {
        "attempts": event_deliveries.c.attempts + 1,
        "problem": problem,
        "due": due,
        "at": func.now(),
    }
    with connect(url) as connection:
        connection.execute(noted.on_conflict_do_update(index_elements=["event", "target"], set_=changed))


def forget(url: str) -> None:
    """Drop events that are older than `KEPT`."""
    with connect(url) as connection:
        connection.execute(delete(events).where(events.c.at < func.now() - KEPT))


def newest(url: str, limit: int) -> list[dict[str, Any]]:
    """The newest events first, each with its `deliveries`: target → attempts, problem, due."""
    query = select(events).order_by(events.c.number.desc()).limit(limit)
    with connect(url) as connection:
        found = [dict(row) for row in connection.execute(query).mappings()]
        numbers = [row["number"] for row in found]
        done = connection.execute(
            select(event_deliveries).where(event_deliveries.c.event.in_(numbers))
        ).mappings()
        by_event: dict[int, dict[str, Any]] = {number: {} for number in numbers}
        for row in done:
            kept = {name: row[name] for name in ("attempts", "problem", "due")}
            by_event[row["event"]][row["target"]] = kept
    return [row | {"deliveries": by_event[row["number"]]} for row in found]
