"""`events`: send what waits, list what happened and who has taken it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from console.progress import Progress
    from settings import Settings

Document = dict[str, Any]


def send(settings: Settings, progress: Progress, *, test: bool) -> Document:
    """Bring what waits to every target now, however often it was tried; with `test` a test, too.

    Raises:
        UsageError: there is no target.
    """
    import events
    from db import events as outbox
    from db.databases import prepare
    from db.migrate import upgrade
    from db.releases import person
    from db.session import engine
    from events import delivery

    targets = events.targets(settings)
    if not targets:
        raise UsageError(
            "No system is told: set MODELYARD_EVENTS to the URLs of webhooks, separated by spaces, and "
            "MODELYARD_EVENTS_KEY to what events are signed with, as `openssl rand -base64 32` makes it."
        )
    with progress.stage("events"):
        url = prepare(settings).modelyard
        upgrade(url)
        if test:
            now, asked = datetime.now(UTC), {"asked_by": person()}
            with engine(url).begin() as connection:
                of, source = f"test by {person()}", "/modelyard/console"
                outbox.note(
                    connection, "modelyard.test", of=of, moment=now, source=source, subject="test", data=asked
                )
        outbox.hurry(url)
        delivery.sweep(settings, url, events.SECONDS)
    left = [outbox.waiting(url, delivery.digest(target)) for target in targets]
    return {
        "targets": [
            {
                "target": delivery.name(number, target),
                "waiting": len(waiting),
                "problem": waiting[0].problem if waiting else None,
            }
            for number, (target, waiting) in enumerate(zip(targets, left, strict=True))
        ]
    }


def sent(document: Mapping[str, Any]) -> RenderableType:
    """A line for each target."""
    from rich.console import Group

    return Group(
        *(
            f"[red]Target {each['target']} {each['problem'] or 'was not asked in time'}; "
            f"events that wait for it: {each['waiting']:,}.[/]"
            if each["waiting"]
            else f"[green]Target {each['target']} has taken all.[/]"
            for each in document["targets"]
        )
    )


def listed(settings: Settings, limit: int) -> Document:
    """The newest events, each with every target of today; None while PostgreSQL does not run."""
    import events
    from console.state import running
    from db import events as outbox
    from db.migrate import upgrade
    from events import delivery

    databases = running(settings)
    if databases is None:
        return {"events": None}
    upgrade(databases.modelyard)
    names = {delivery.digest(one): delivery.name(n, one) for n, one in enumerate(events.targets(settings))}
    now = datetime.now(UTC)
    return {
        "events": [
            {name: row[name] for name in ("id", "type", "source", "subject", "data")}
            | {"at": row["at"].isoformat(timespec="seconds")}
            | {
                "targets": {
                    name: _state(row["deliveries"].get(target), now - row["at"] > outbox.TRIED)
                    for target, name in names.items()
                }
            }
            for row in outbox.newest(databases.modelyard, limit)
        ]
    }


def _state(delivery: Mapping[str, Any] | None, over: bool) -> str:
    if delivery is not None and delivery["problem"] is None:
        return "taken"
    if delivery is not None and delivery["due"] is None:
        return f"refused: {delivery['problem']}"
    if over:
        return "given up"
    return (
        "waits" if delivery is None else f"waits: {delivery['problem']}, {delivery['attempts']} times tried"
    )


def list_report(document: Mapping[str, Any]) -> RenderableType:
    """A table of events."""
    from console.reports import new_table

    if document["events"] is None:
        return "PostgreSQL is not running; start it with: python run.py up"
    if not document["events"]:
        return "Nothing happened yet that systems are told of."
    table = new_table("when", "type", "about", "version", "targets")
    for one in document["events"]:
        when = f"{datetime.fromisoformat(one['at']).astimezone():%Y-%m-%d %H:%M}"
        version = one["data"].get("model_version")
        targets = "\n".join(f"{name} {state}" for name, state in one["targets"].items())
        table.add_row(when, one["type"], one["subject"], "" if version is None else str(version), targets)
    return table
