"""`ingest`, `sources` and `export`: rows from elsewhere into the project's database, and out of it."""

from __future__ import annotations

from typing import Annotated

import typer

from console import reports
from console.command import Call, command
from console.options import UseCaseName
from errors import UsageError

app = typer.Typer()

Cron = Annotated[
    str | None,
    typer.Option(
        help="Let a cluster do it by itself, whenever crontab(5) says so, in UTC: '0 * * * *'; "
        "`schedules` lists it, `unschedule` ends it."
    ),
]


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
    cron: Cron = None,
) -> None:
    """Load what is new at a source, each row once; what breaks the contract goes to quarantine.

    Killed at any point, the same command does what is left. What was loaded is learnt from by
    [b]train USE_CASE --source ingested[/b].

    Examples: [b]python run.py ingest taxi --from sample[/b] · [b]python run.py ingest taxi --from mine.yaml
    --check[/b] · [b]python run.py --stack kubernetes ingest taxi --from shop.yaml --cron '0 * * * *'[/b]
    """
    from console import ingestion as console

    if cron and (full or check):
        raise UsageError("--cron loads what is new: leave out --full and --check.")
    if cron:
        done = console.schedule_ingest(call.settings, call.stack, call.progress, use_case, source, cron)
        call.answer(done, reports.scheduled)
        return
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

    call.answer(console.sources(call.settings, call.stack, call.progress, use_case), console.sources_report)


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
    cron: Cron = None,
) -> None:
    """Write predictions, outcomes, checks or decisions elsewhere: parquet files, or another database.

    Day by day, and only days that are not there as they are now; repeated or killed, each row is there once.

    Examples: [b]python run.py export taxi --to lake.yaml[/b] · [b]python run.py --stack kubernetes export
    taxi --to lake.yaml --cron '30 2 * * *'[/b]
    """
    from console import ingestion as console

    if cron:
        done = console.schedule_export(call.settings, call.stack, call.progress, use_case, sink, cron)
        call.answer(done, reports.scheduled)
        return
    document = console.export(call.settings, call.stack, call.progress, use_case, sink)
    call.answer(document, console.export_report)
