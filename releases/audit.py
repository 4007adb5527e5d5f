"""Whether the audit trail is unbroken, and the record of releases is what it says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from db.recorded import Trail

# What a release is stays what it was when it began; the rest is what becomes of it.
_FIXED = (
    *("use_case", "target", "model_version", "bento", "image", "evidence"),
    *("why", "released_by", "zenml_run", "created_at"),
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Event:
    """One row of the trail, read from what its hash is of."""

    previous: str
    number: int
    at: datetime
    use_case: str
    release: int | None
    event: str
    content: Mapping[str, Any]


class Checked(BaseModel):
    """What was found of one release."""

    release: int
    row: dict[str, Any]
    """As it is on record, or as the trail has it where that is gone."""
    problems: list[str]
    notes: list[str] = []
    """What could not be looked at, and why that is no wonder."""


class Audit(BaseModel):
    """What was found of the trail and of the releases of one use case."""

    rows: int
    newest: str
    """Hash of the newest row: kept elsewhere, it tells later that nothing before it was changed."""
    problems: list[str]
    """Of the trail itself, and of approvals."""
    releases: list[Checked]
    """The newest first."""
    protection: str


def check(trail: Trail, use_case: str, anchor: str | None = None) -> Audit:
    """Compute the chain again, and compare what is on record of `use_case` with it.

    `anchor` is the hash of a row that has to be there.
    """
    events = [_event(entry.text) for entry in trail.entries]
    problems = [
        f"The trigger {trigger} is off: what happens now is not written down." for trigger in trail.off
    ]
    problems += _chain(trail, events)
    if anchor is not None and anchor not in {entry.hash for entry in trail.entries}:
        problems.append(
            f"No row has the hash {anchor}: all was written anew, or rows are missing at the end."
        )
    own = [event for event in events if event.use_case == use_case]
    approvals = {row["id"]: row for row in trail.approvals if row["use_case"] == use_case}
    approved = {event.content.get("id"): event.content for event in own if event.release is None}
    for number in approvals | approved:
        if found := _differences(approved.get(number), approvals.get(number)):
            problems += [f"Approval {number}: {problem}" for problem in found]
    rows = {row["id"]: row for row in trail.releases if row["use_case"] == use_case}
    first: dict[int, Event] = {}
    newest: dict[int, Event] = {}
    for event in own:
        if event.release is not None:
            first.setdefault(event.release, event)
            newest[event.release] = event
    checked = []
    for number in sorted(rows | newest, reverse=True):
        last, row = newest.get(number), rows.get(number)
        found = _differences(last.content if last else None, row)
        if last is not None:
            found += _replaced(first[number].content, last.content)
            if last.event == "deleted":
                found = [f"it was deleted at {last.at:%Y-%m-%d %H:%M:%S} UTC"]
            row = row or dict(last.content)
        checked.append(Checked(release=number, row=row or {}, problems=found))
    return Audit(
        rows=len(events),
        newest=trail.entries[-1].hash if trail.entries else "",
        problems=problems,
        releases=checked,
        protection=trail.protection,
    )


def _chain(trail: Trail, events: list[Event]) -> Iterator[str]:
    previous, number = "", 0
    for entry, event in zip(trail.entries, events, strict=True):
        if event.number != number + 1:
            yield f"Row {event.number} comes after row {number}: what was between them is gone."
        elif event.previous != previous:
            yield f"Row {event.number} was not written after row {number} as that is now."
        if sha256(entry.text.encode()).hexdigest() != entry.hash:
            what = f"{event.event}, {event.use_case}"
            yield f"Row {event.number} ({what}) was changed: its hash is of another content."
        previous, number = entry.hash, event.number


def _differences(recorded: Mapping[str, Any] | None, row: Mapping[str, Any] | None) -> list[str]:
    """What differs between a row and the newest that the trail has of it."""
    if recorded is None:
        return ["the trail has nothing of it"]
    if row is None:
        return ["it is gone, and the trail has it"]
    return [
        f"{name} is {_short(row.get(name))}, and was {_short(recorded.get(name))}"
        for name in sorted(recorded.keys() | row.keys())
        if recorded.get(name) != row.get(name)
    ]


def _replaced(first: Mapping[str, Any], newest: Mapping[str, Any]) -> list[str]:
    """What was changed although it never does, and written down by the trail as it was done."""
    return [
        f"{name} was {_short(first.get(name))} when it began, and was made {_short(newest.get(name))}"
        for name in _FIXED
        if first.get(name) != newest.get(name)
    ]


def _event(text: str) -> Event:
    previous, number, microseconds, use_case, release, event, content = json.loads(text)
    at = _EPOCH + timedelta(microseconds=microseconds)
    return Event(previous, number, at, use_case, release, event, content)


def _short(value: Any) -> str:
    text = "empty" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
