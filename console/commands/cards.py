"""What is known of a model version, for people to read."""

from __future__ import annotations

from typing import Annotated

import typer

from console.command import Call, command
from console.options import UseCaseName

app = typer.Typer()


@command(app)
def card(
    call: Call,
    use_case: UseCaseName,
    version: Annotated[
        str, typer.Argument(help="A version's number, `champion` or `challenger`.")
    ] = "champion",
) -> None:
    """A model version's card: what it is for, how good it is and where not, what it was made of; Markdown.

    Examples: [b]python run.py card taxi[/b] · [b]python run.py card taxi 3 > taxi-3.md[/b]
    """
    from console import cards

    document = cards.card(call.settings, call.stack, call.progress, use_case, version)
    if call.as_json:
        call.answer(document, str)
    else:
        typer.echo(document["card"], nl=False)
