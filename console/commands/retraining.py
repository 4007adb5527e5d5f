"""`retrain`, `watch` and `decisions`: what keeps a model good by itself."""

from __future__ import annotations

from typing import Annotated

import typer

from console.command import Call, command
from console.options import Candidates, Seed, Source, Trials, UseCaseName, of_training
from errors import GateNotPassed

app = typer.Typer()

Window = Annotated[
    int, typer.Option(min=1, help="So many of the newest data files at the source are learnt from.")
]


@command(app)
def retrain(
    call: Call,
    use_case: UseCaseName,
    if_needed: Annotated[
        bool, typer.Option("--if-needed", help="Decide first: do what is to be done, or nothing.")
    ] = False,
    source: Source = None,
    window: Window = 3,
    trials: Trials = 1,
    candidates: Candidates = None,
    seed: Seed = 42,
) -> None:
    """Train on the newest data; where that gives a model that is better beyond chance, release it.

    With [b]--if-needed[/b] that is done when there are new data or a check asks for it; a champion
    that was not released yet is released; else nothing is done. Decisions are kept with their reasons.

    Exit codes: 0 done, or nothing to do; 3 the champion was not beaten and stays; 4 another process is at it.

    Examples: [b]python run.py retrain taxi --if-needed[/b] · [b]python run.py retrain taxi
    --source trips/ --window 6[/b]
    """
    from console import retraining

    options = of_training(source, None, None, trials, candidates, seed)
    document = retraining.retrain(
        call.settings, call.stack, call.progress, use_case, options, window=window, if_needed=if_needed
    )
    call.answer(document, retraining.report)
    if document.get("training") and not document["training"]["passed"]:
        raise typer.Exit(GateNotPassed.exit_code)


@command(app)
def watch(
    call: Call,
    use_case: UseCaseName,
    every: Annotated[
        str, typer.Option(metavar="90s|10m|1h", help="From the end of a round to the next.")
    ] = "10m",
    once: Annotated[
        bool, typer.Option("--once", help="One round, for cron; its exit code is that of `retrain`.")
    ] = False,
    source: Source = None,
    window: Window = 3,
    trials: Trials = 1,
    candidates: Candidates = None,
    seed: Seed = 42,
) -> None:
    """Check what serves and retrain when needed, again and again until Ctrl-C; a line for each round.

    A round that fails is told and tried again later and later, up to an hour apart.

    Examples: [b]python run.py watch taxi --source trips/ --every 1h[/b] ·
    [b]python run.py watch taxi --once[/b]
    """
    from console import watching

    options = {
        "--source": source,
        "--window": window,
        "--trials": trials,
        "--candidates": candidates,
        "--seed": seed,
    }
    given = [f"{name}={value}" for name, value in options.items() if value is not None]
    code = watching.watch(call.settings, call.stack, use_case, given, every, once=once, as_json=call.as_json)
    if code:
        raise typer.Exit(code)


@command(app)
def decisions(
    call: Call,
    use_case: UseCaseName,
    limit: Annotated[int, typer.Option(min=1, help="So many of the newest.")] = 20,
) -> None:
    """What was decided about a use case's model, why, and what came of it.

    Example: [b]python run.py decisions taxi[/b]
    """
    from console import retraining

    call.answer(
        retraining.decisions(call.settings, call.stack, use_case, limit), retraining.report_of_decisions
    )
