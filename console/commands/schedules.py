"""`schedule`, `schedules` and `unschedule`: what a cluster does by itself."""

from __future__ import annotations

from typing import Annotated

import typer

from console import reports
from console.command import Call, command
from console.options import (
    Candidates,
    Cutoff,
    Months,
    Release,
    Seed,
    Source,
    Trials,
    UseCaseName,
    of_training,
)

app = typer.Typer()


@command(app)
def schedule(
    call: Call,
    use_case: UseCaseName,
    cron: Annotated[str, typer.Option(help="When, as crontab(5) has it, in UTC: '0 3 * * 1'.")],
    source: Source = None,
    months: Months = None,
    cutoff: Cutoff = None,
    trials: Trials = 1,
    candidates: Candidates = None,
    seed: Seed = 42,
    release: Release = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Check what serves, decide, and retrain and release when that is needed."
        ),
    ] = False,
    window: Annotated[
        int | None,
        typer.Option(
            min=1,
            show_default="3",
            help="With --watch: so many of the newest data files at the source are learnt from.",
        ),
    ] = None,
) -> None:
    """Let a cluster train by itself, on what lies at the source each time; replaces an earlier schedule.

    With [b]--watch[/b] each time is a round of the closed loop, as [b]watch[/b] makes them on this machine.

    Examples: [b]python run.py --stack kubernetes schedule taxi --cron '0 3 * * 1'
    --source s3://trips/green[/b] · [b]python run.py --stack kubernetes schedule taxi --cron '*/10 * * * *'
    --watch --source s3://trips/green --window 3[/b]
    """
    from console import jobs

    options = of_training(source, months, cutoff, trials, candidates, seed)
    document = jobs.schedule(
        call.settings,
        call.stack,
        call.progress,
        use_case,
        cron,
        release=release,
        watch=watch,
        window=window,
        **options,
    )
    call.answer(document, reports.scheduled)


@command(app)
def schedules(call: Call) -> None:
    """What a cluster does by itself, when, and what became of the newest run.

    Example: [b]python run.py --stack kubernetes schedules[/b]
    """
    from console import jobs

    call.answer(jobs.scheduled(call.settings, call.stack, call.progress), reports.schedules)


@command(app)
def unschedule(
    call: Call,
    use_case: UseCaseName,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="NAME", help="That of [b]ingest --cron[/b] from it instead."),
    ] = None,
    sink: Annotated[
        str | None, typer.Option("--to", metavar="NAME", help="That of [b]export --cron[/b] to it instead.")
    ] = None,
) -> None:
    """End the schedule of a use case, and its run that is under way.

    Examples: [b]python run.py --stack kubernetes unschedule taxi[/b] · [b]python run.py --stack kubernetes
    unschedule taxi --from shop[/b]
    """
    from console import jobs

    document = jobs.unschedule(call.settings, call.stack, call.progress, use_case, source=source, sink=sink)
    call.answer(document, reports.unscheduled)
