"""`alerts test` and `alerts list`: whether people are told, and what they were told."""

from __future__ import annotations

from typing import Annotated

import typer

from console.command import Call, command

app = typer.Typer(name="alerts", help="Alerts: send one to see who gets it, list what was told.")


@command(app)
def test(call: Call) -> None:
    """Send an alert to every target of MODELYARD_ALERTS, and say what came of each.

    Ends with 1 when one of them has not taken it.

    Example: [b]python run.py alerts test[/b]
    """
    from console import alerts as console

    document = console.test(call.settings, call.progress)
    call.answer(document, console.tested)
    if any(target["problem"] for target in document["targets"]):
        raise typer.Exit(1)


@command(app, "list")
def list_newest(call: Call, limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20) -> None:
    """The newest alerts, and how many targets took each.

    Example: [b]python run.py alerts list[/b]
    """
    from console import alerts as console

    call.answer(console.listed(call.settings, limit), console.list_report)
