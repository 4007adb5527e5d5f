"""`replay`: what would a model version have answered?"""

from __future__ import annotations

from typing import Annotated

import typer

from console.command import Call, command
from console.options import UseCaseName

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
            show_default="7 days ago",
            help="Take requests logged since then, such as 2026-11-26 or 2026-11-26T09:30; in UTC.",
        ),
    ] = None,
) -> None:
    """Answer logged requests by a version that has no traffic yet: other answers, quicker, better?

    Nothing is changed, and no endpoint is asked. Where outcomes have come, both are judged by them.

    Examples: [b]python run.py replay taxi[/b] · [b]python run.py replay taxi --version 4
    --since 2026-11-01[/b]
    """
    from console import replay as console

    call.answer(
        console.replay(call.settings, call.stack, call.progress, use_case, version, since), console.report
    )
