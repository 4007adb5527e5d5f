"""`monitor` and `checks`: is the model in service still good?"""

from __future__ import annotations

from typing import Annotated

import typer

from console.command import Call, command
from console.options import UseCaseName

app = typer.Typer()


@command(app)
def monitor(
    call: Call,
    use_case: UseCaseName,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="MOMENT",
            show_default="the end of the last check",
            help="Look at what came since then, such as 2026-11-26 or 2026-11-26T09:30; in UTC.",
        ),
    ] = None,
) -> None:
    """Check the model in service: drift of requests and predictions, their quality, and how good it is.

    What an endpoint has logged lately is put beside the validation rows of its version. The
    exit code is 0 whatever is found, and 5 while nothing was logged; with [b]--json[/b] the verdict is
    [b]check.verdict[/b].

    Examples: [b]python run.py monitor taxi[/b] · [b]python run.py monitor taxi --since 2026-11-26[/b]
    """
    from console import monitoring

    call.answer(
        monitoring.monitor(call.settings, call.stack, call.progress, use_case, since), monitoring.report
    )


@command(app)
def checks(call: Call, use_case: UseCaseName) -> None:
    """Every check of a use case: of when, of which version, and what was found.

    Example: [b]python run.py checks taxi[/b]
    """
    from console import monitoring

    call.answer(monitoring.checks(call.settings, call.stack, use_case), monitoring.listed)
