"""`score`: a model version answers every row of files or of a table."""

from __future__ import annotations

from typing import Annotated

import typer

from console.command import Call, command
from console.options import UseCaseName
from errors import GateNotPassed

app = typer.Typer()

_PLACE = (
    "files, parquet or CSV: one, or a folder of them, also as s3://bucket/folder; or a table: "
    "postgresql://host/database?table=NAME, or env:NAME for such a URL in an environment variable"
)


@command(app)
def score(
    call: Call,
    use_case: UseCaseName,
    source: Annotated[str, typer.Option("--input", metavar="PLACE", help=f"What to score: {_PLACE}.")],
    output: Annotated[
        str,
        typer.Option(metavar="PLACE", help="Where rows with predictions go: a new folder, or a new table."),
    ],
    version: Annotated[str, typer.Option(help="A version's number, or `champion`.")] = "champion",
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="A,B", show_default="all of them", help="Columns of the input that the result has."
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            metavar="A,B", show_default="the primary key", help="Columns that tell the rows of a table apart."
        ),
    ] = None,
    max_refused: Annotated[
        str, typer.Option(metavar="1%", help="Share of refused rows up to which all is well.")
    ] = "1%",
) -> None:
    """Predict many rows without an endpoint, by the same model and the same rules; at any size.

    Rows that are no valid requests are written apart, with the reason. Killed, the same command goes on where
    it was. Ends with 3 when more than --max-refused of the rows were refused.

    Examples: [b]python run.py score taxi --input trips.parquet --output scored[/b] ·
    [b]python run.py score taxi --input 's3://trips/new' --output s3://trips/scored --version 3[/b] ·
    [b]python run.py score taxi --input 'postgresql://me@host/trips?table=new'
    --output 'postgresql://me@host/trips?table=scored' --keep id[/b]
    """
    from console import scoring as console

    document = console.score(
        call.settings,
        call.stack,
        call.progress,
        use_case,
        source,
        output,
        version,
        keep=keep,
        key=key,
        max_refused=max_refused,
    )
    call.answer(document, console.report)
    if not document["passed"]:
        raise typer.Exit(GateNotPassed.exit_code)
