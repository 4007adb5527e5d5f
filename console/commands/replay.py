"""`replay`: what would a model version have answered?"""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from console.command import Call, command, print_line
from console.options import UseCaseName
from errors import UsageError

app = typer.Typer()


@command(app)
def replay(
    call: Call,
    use_case: UseCaseName,
    version: Annotated[
        str, typer.Option(help="A version's number, `champion` or `challenger`.")
    ] = "challenger",
    since: Annotated[
        str | None,
        typer.Option(
            metavar="MOMENT",
            show_default="7 days ago; now with --follow",
            help="Take requests logged since then, such as 2026-11-26 or 2026-11-26T09:30; in UTC.",
        ),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Go on with what endpoints log until Ctrl-C; a line for each round."),
    ] = False,
    every: Annotated[
        str | None,
        typer.Option(
            metavar="10s|1m|1h",
            show_default="10s",
            help="With --follow: from the end of a round to the next.",
        ),
    ] = None,
) -> None:
    """Answer logged requests by a version that has no traffic yet: other answers, quicker, better?

    Nothing is changed, and no endpoint is asked. Where outcomes have come, both are judged by them.

    With [b]--follow[/b] it shadows what serves: requests are answered again by that version some ten seconds
    after they came, until Ctrl-C; then all of it is told. With --json each line is a document.

    Examples: [b]python run.py replay taxi[/b] · [b]python run.py replay taxi --version 4
    --since 2026-11-01[/b] · [b]python run.py replay taxi --version 4 --follow --every 1m[/b]
    """
    from console import replay as console

    if not follow:
        if every is not None:
            raise UsageError("--every says how often --follow looks: give both, or neither.")
        found = console.replay(call.settings, call.stack, call.progress, use_case, version, since)
        call.answer(found, console.report)
        return
    shadow(call, use_case, version, since, every)


def shadow(
    call: Call, use_case: str, version: str, since: str | None = None, every: str | None = None
) -> None:
    """Answer what is asked from now on by that version, too, until Ctrl-C; then tell all of it."""
    from console import following
    from console import replay as console

    def say(said: dict[str, Any]) -> None:
        print_line(json.dumps(said) if call.as_json else following.line(said))

    found = following.follow(
        call.settings, call.stack, call.progress, use_case, version, since, every or following.EVERY, say
    )
    if call.as_json:
        say(found)
    else:
        call.answer(found, console.report)
