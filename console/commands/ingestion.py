"""`ingest`, `sources` and `export`: rows from elsewhere into the project's database, and out of it."""

from __future__ import annotations

from typing import Annotated

import typer

from console.command import Call, command
from console.options import UseCaseName

app = typer.Typer()


@command(app)
def ingest(
    call: Call,
    use_case: UseCaseName,
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="NAME",
            help="A source: its name in usecases/USE_CASE/sources, or a file NAME.yaml.",
        ),
    ],
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="Load everything, in the place of what was loaded from this source before."
        ),
    ] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Read 100 rows, show how columns map and what is rejected; load nothing."
        ),
    ] = False,
) -> None:
    """Load what is new at a source, each row once; what breaks the contract goes to quarantine.

    Killed at any point, the same command does what is left. What was loaded is learnt from by
    [b]train USE_CASE --source ingested[/b].

    Examples: [b]python run.py ingest taxi --from sample[/b] · [b]python run.py ingest taxi --from mine.yaml
    --check[/b]
    """
    from console import ingestion as console

    if check:
        found = console.check(call.settings, call.stack, call.progress, use_case, source)
        call.answer(found, console.check_report)
        return
    document = console.ingest(call.settings, call.stack, call.progress, use_case, source, full=full)
    call.answer(document, console.report)


@command(app)
def sources(call: Call, use_case: UseCaseName) -> None:
    """Where rows come from: when each source was loaded last, how many rows, up to where, how fresh.

    Example: [b]python run.py sources taxi[/b]
    """
    from console import ingestion as console

    call.answer(console.sources(call.settings, use_case), console.sources_report)


@command(app)
def export(
    call: Call,
    use_case: UseCaseName,
    sink: Annotated[
        str,
        typer.Option(
            "--to", metavar="NAME", help="A sink: its name in usecases/USE_CASE/sinks, or a file NAME.yaml."
        ),
    ],
) -> None:
    """Write predictions, outcomes, checks or decisions elsewhere: parquet files, or another database.

    Day by day, and only days that are not there as they are now; repeated or killed, each row is there once.

    Example: [b]python run.py export taxi --to lake.yaml[/b]
    """
    from console import ingestion as console

    document = console.export(call.settings, call.stack, call.progress, use_case, sink)
    call.answer(document, console.export_report)
