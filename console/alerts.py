"""`alerts`: send one to see who gets it, list what was told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from console.progress import Progress
    from settings import Settings

Document = dict[str, Any]


def test(settings: Settings, progress: Progress) -> Document:
    """Send a test to every target, however short ago there was one.

    Raises:
        UsageError: there is no target.
    """
    from alerts import Alert, targets
    from alerts.delivery import deliver
    from db.releases import person

    told_to = targets(settings)
    if not told_to:
        raise UsageError(
            "Nobody is told: set MODELYARD_ALERTS to Apprise's URLs, separated by spaces, such as "
            "'mailtos://user:password@example.com slack://…'; see https://appriseit.com"
        )
    alert = Alert("test", "modelyard", "A test of alerts", f"{person()} asked whether this arrives.")
    with progress.stage("alerts"):
        told = deliver(told_to, alert)
    return {"targets": [{"target": each.target, "problem": each.problem} for each in told]}


def tested(document: Mapping[str, Any]) -> RenderableType:
    """A line for each target."""
    from rich.console import Group

    return Group(
        *(
            f"[red]Target {each['target']} {each['problem']}.[/]"
            if each["problem"]
            else f"[green]Target {each['target']} took it.[/]"
            for each in document["targets"]
        )
    )


def listed(settings: Settings, limit: int) -> Document:
    """The newest alerts; None while PostgreSQL does not run."""
    from console.state import running
    from db import alerts as record
    from db.migrate import upgrade

    databases = running(settings)
    if databases is None:
        return {"alerts": None}
    upgrade(databases.modelyard)
    rows = record.newest(databases.modelyard, limit)
    return {"alerts": [{**row, "at": row["at"].isoformat(timespec="seconds")} for row in rows]}


def list_report(document: Mapping[str, Any]) -> RenderableType:
    """A table of alerts."""
    from rich.markup import escape

    from console.reports import new_table

    if document["alerts"] is None:
        return "PostgreSQL is not running; start it with: python run.py up"
    if not document["alerts"]:
        return "Nothing was told yet."
    table = new_table("when", "kind", "use case", "title", ">taken by", ">not by")
    for one in document["alerts"]:
        when = f"{datetime.fromisoformat(one['at']).astimezone():%Y-%m-%d %H:%M}"
        counts = (str(one["taken"]), str(one["failed"]))
        table.add_row(when, one["kind"], one["use_case"], escape(one["title"]), *counts)
    return table
