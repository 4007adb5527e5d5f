"""`events send`, `events test` and `events list`: whether other systems are told, and what they were told."""

from __future__ import annotations

from typing import Annotated

import typer

from console.command import Call, command

app = typer.Typer(
    name="events", help="CloudEvents: send what waits, or a test; list what happened and who has taken it."
)


@command(app)
def send(call: Call) -> None:
    """Send what waits to every target of MODELYARD_EVENTS now, and say what came of each.

    Ends with 1 when something still waits.

    Example: [b]python run.py events send[/b]
    """
    _send(call, test=False)


@command(app)
def test(call: Call) -> None:
    """Send a test to every target of MODELYARD_EVENTS, behind what waits, and say what came of each.

    Ends with 1 when something still waits.

    Example: [b]python run.py events test[/b]
    """
    _send(call, test=True)


def _send(call: Call, *, test: bool) -> None:
    from console import events as console

    document = console.send(call.settings, call.progress, test=test)
    call.answer(document, console.sent)
    if any(target["waiting"] for target in document["targets"]):
        raise typer.Exit(1)


@command(app, "list")
def list_newest(call: Call, limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20) -> None:
    """The newest events, and how far each is with every target.

    Example: [b]python run.py events list[/b]
    """
    from console import events as console

    call.answer(console.listed(call.settings, limit), console.list_report)
