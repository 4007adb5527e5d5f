#!/usr/bin/env python
"""Modelyard's command line: one command for each thing a person wants.

Imports are lazy, so that `--help` answers at once; the work is done in pipelines/ and releases/, what a
person sees is written in console/.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from console import reports
from console.command import JSON, STACK, Call, command, main
from console.commands import (
    alerts,
    cards,
    events,
    ingestion,
    monitoring,
    releases,
    replay,
    retraining,
    schedules,
    scoring,
    streaming,
    tools,
    upkeep,
)
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
from errors import GateNotPassed

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
stacks = typer.Typer(help="Where pipelines run: apply a stack file, show what is applied.")
app.add_typer(stacks, name="stack")
for part in (
    cards,
    monitoring,
    retraining,
    ingestion,
    scoring,
    streaming,
    releases,
    replay,
    alerts,
    events,
    schedules,
    tools,
    upkeep,
):
    app.add_typer(part.app)


@app.callback(invoke_without_command=True)
def default(
    context: typer.Context,
    stack: Annotated[str | None, STACK] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """From tabular data to a monitored model endpoint.

    Without a command: the main job. Trains [b]taxi[/b] on the bundled trips, promotes the best candidate,
    packages it, starts its endpoint and asks it for one trip.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a gate was not passed, 4 another process is at it,
    5 there is nothing to check yet.

    Example: [b]python run.py[/b]
    """
    context.obj = {"stack": stack, "as_json": as_json}
    if context.invoked_subcommand is None:
        _main_job(Call(stack=stack or "local", as_json=as_json))


def _main_job(call: Call) -> None:
    from console.jobs import main_job

    document = main_job(call.settings, call.stack, call.progress)
    call.answer(document, reports.main_job)
    _exit_by_gates(document["training"])


@command(app, "example_pipeline")
def example_pipeline(call: Call) -> None:
    """The hello world: load the Titanic list, fill in what is missing, export a CSV.

    Example: [b]python run.py example_pipeline[/b]
    """
    from console.jobs import example

    call.answer(example(call.settings, call.stack, call.progress), reports.example)


@command(app)
def train(
    call: Call,
    use_case: UseCaseName,
    source: Source = None,
    months: Months = None,
    cutoff: Cutoff = None,
    trials: Trials = 1,
    candidates: Candidates = None,
    seed: Seed = 42,
    release: Release = False,
) -> None:
    """Train, compare candidates, register the best, judge it by the gates, promote it.

    Examples: [b]python run.py train taxi[/b] · [b]python run.py train taxi --source tlc
    --months 2024-01,2024-02 --cutoff 2024-02-01 --trials 20[/b] · [b]python run.py train taxi
    --source s3://trips/green --months 2023-03..2024-02[/b]
    """
    from console.jobs import train as job

    document = job(
        call.settings,
        call.stack,
        call.progress,
        use_case,
        release=release,
        **of_training(source, months, cutoff, trials, candidates, seed),
    )
    call.answer(document, reports.training)
    _exit_by_gates(document)


@command(app)
def predict(
    call: Call,
    use_case: UseCaseName,
    request: Annotated[str | None, typer.Argument(help="One request as JSON.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="Many requests: a parquet or CSV file, a row for each.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(show_default="FILE-predictions", help="Where to write the rows with their predictions."),
    ] = None,
) -> None:
    """Ask the endpoint: one request, or every row of a file.

    Examples: [b]python run.py predict taxi '{"PULocationID": 74, …}'[/b] ·
    [b]python run.py predict taxi --file trips.parquet[/b]
    """
    from console.predictions import predict as job

    call.answer(
        job(call.settings, call.stack, call.progress, use_case, request, file, output), reports.predictions
    )


@command(app)
def keys(
    call: Call,
    use_case: UseCaseName,
    action: Annotated[Literal["add", "revoke"] | None, typer.Argument(help="Nothing: list them.")] = None,
    name: Annotated[str | None, typer.Argument(help="The key's name, such as the application's.")] = None,
    right: Annotated[
        list[str] | None,
        typer.Option(
            show_default="predict", help="What it is good for: predict, outcomes; may be given twice."
        ),
    ] = None,
) -> None:
    """Who may ask an endpoint: list its API keys, add one, revoke one. Without any, everybody may.

    A key is printed once, when it is made; what is kept is a hash.

    Examples: [b]python run.py keys taxi[/b] · [b]python run.py keys taxi add web --right predict
    --right outcomes[/b] · [b]python run.py keys taxi revoke web[/b]
    """
    from console import keys as console

    document = console.keys(call.settings, call.stack, use_case, action, name, right or [])
    call.answer(document, console.report)


@command(app)
def reproduce(call: Call, use_case: UseCaseName, version: Annotated[int, typer.Argument(min=1)]) -> None:
    """Train a version again from what was recorded; say whether its predictions come out bit for bit.

    Example: [b]python run.py reproduce taxi 1[/b]
    """
    from console.jobs import reproduce as job

    document = job(call.settings, call.stack, call.progress, use_case, version)
    call.answer(document, reports.reproduction)
    if not document["equal"]:
        raise typer.Exit(1)


@command(app)
def status(call: Call) -> None:
    """What runs: PostgreSQL or the cluster, champions, endpoints, streams.

    Examples: [b]python run.py status --json[/b] · [b]python run.py --stack kubernetes status[/b]
    """
    from console import cluster_state, state
    from console.releases import is_cluster

    if is_cluster(call.stack):
        call.answer(cluster_state.status(call.settings), cluster_state.report)
    else:
        call.answer(state.status(call.settings), reports.status)


@command(app)
def up(
    call: Call,
    detach: Annotated[bool, typer.Option("--detach", help="Come back once everything answers.")] = False,
) -> None:
    """Start ZenML's dashboard, MLflow's pages, PostgreSQL and the endpoints, and keep them running.

    Shows how they are until Ctrl-C, which stops all of it.

    Examples: [b]python run.py up[/b] · [b]python run.py up --detach[/b]
    """
    from console import platform

    call.answer(platform.up(call.settings, call.progress), reports.up)
    if not detach and not call.as_json:
        platform.watch(call.settings)
        call.answer(_down(call), reports.stopped)


@command(app)
def down(call: Call) -> None:
    """Stop the pages, the endpoints and the embedded PostgreSQL; everything stored stays.

    Example: [b]python run.py down[/b]
    """
    call.answer(_down(call), reports.stopped)


@command(app)
def stop(call: Call) -> None:
    """The same as [b]down[/b].

    Example: [b]python run.py stop[/b]
    """
    call.answer(_down(call), reports.stopped)


@command(app)
def logs(
    call: Call,
    service: Annotated[str, typer.Argument(help="zenml, mlflow, keeper, postgresql, or an endpoint.")],
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes, until Ctrl-C.")] = False,
) -> None:
    """Print the log of a service.

    Examples: [b]python run.py logs zenml[/b] · [b]python run.py logs taxi-1 --follow[/b]
    """
    from console import platform

    platform.logs(call.settings, service, follow=follow, as_json=call.as_json)


@command(app, "open")
def open_pages(call: Call) -> None:
    """Open ZenML's dashboard and MLflow's pages in the browser; those of a cluster until Ctrl-C.

    Examples: [b]python run.py open[/b] · [b]python run.py --stack kubernetes open[/b]
    """
    from console import platform

    document = platform.open_pages(call.settings, call.stack)
    call.answer(document, reports.opened)
    if "login" in document:
        platform.stay()


@command(app)
def follow(call: Call, run: Annotated[str, typer.Argument(help="The run's name, as ZenML has it.")]) -> None:
    """Watch a run in a cluster until it ends; Ctrl-C ends the watching, not the run.

    Example: [b]python run.py --stack kubernetes follow train_taxi-2026_11_26-09_15_02_114035[/b]
    """
    from console.jobs import follow as job

    call.answer(job(call.settings, call.stack, call.progress, run), reports.followed)


@command(stacks, "apply")
def stack_apply(
    call: Call,
    file: Annotated[
        Path | None, typer.Argument(help="A stack file.", show_default="that of --stack in stacks/")
    ] = None,
) -> None:
    """Make ZenML's stack match a file; prints each change, and the second time that there is none.

    Of a cluster's it is looked first whether each part answers.

    Examples: [b]python run.py --stack kubernetes stack apply[/b] ·
    [b]python run.py stack apply stacks/local.yaml[/b]
    """
    from console.jobs import apply_stack as job

    call.answer(job(call.settings, call.stack, call.progress, file), reports.stack_applied)


@command(stacks, "show")
def stack_show(call: Call) -> None:
    """Show the parts of the stack as ZenML has them.

    Example: [b]python run.py --stack local stack show[/b]
    """
    from console.jobs import show_stack as job

    call.answer(job(call.settings, call.stack), reports.stack_shown)


def _down(call: Call) -> dict[str, Any]:
    from console import state

    return state.down(call.settings, call.progress)


def _exit_by_gates(training: dict[str, object]) -> None:
    if not training["passed"]:
        raise typer.Exit(GateNotPassed.exit_code)


if __name__ == "__main__":
    main(app)
