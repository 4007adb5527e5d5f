"""`stream` and `replay-trips`: score on Kafka, and send what is to be scored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console.command import Call, command
from console.options import Months, Source, UseCaseName

app = typer.Typer()


@command(app)
def stream(
    call: Call,
    use_case: UseCaseName,
    requests: Annotated[
        str | None,
        typer.Option(metavar="TOPIC", show_default="modelyard.NAME.requests", help="Requests to score."),
    ] = None,
    outcomes: Annotated[
        str | None,
        typer.Option(metavar="TOPIC", show_default="modelyard.NAME.outcomes", help="What came true."),
    ] = None,
    predictions: Annotated[
        str | None,
        typer.Option(metavar="TOPIC", show_default="modelyard.NAME.predictions", help="Where answers go."),
    ] = None,
    refused: Annotated[
        str | None,
        typer.Option(
            metavar="TOPIC", show_default="modelyard.NAME.refused", help="Where goes what cannot be taken."
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            show_default="modelyard-NAME",
            help="Group of consumers: workers of one group share the partitions.",
        ),
    ] = None,
    member: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            show_default="none",
            help="Name of this worker in its group: started again under it, it has its partitions at once. "
            "Ended, it keeps them for ten seconds.",
        ),
    ] = None,
    metrics_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of /metrics and /readyz; 0: any that is free.")
    ] = 9400,
    window: Annotated[
        str,
        typer.Option(metavar="90s|10m|1h", help="Time of which the gauges of error and drift are."),
    ] = "1h",
    bento: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Score by the Bento in this folder, whatever serves, and log to MODELYARD_STREAM_URL: "
            "what pods do.",
        ),
    ] = None,
) -> None:
    """Score requests from a topic of Kafka by the model that serves, until Ctrl-C or SIGTERM.

    The broker is named by MODELYARD_KAFKA. Answers go to a topic and to the prediction log, one row for each
    event id; outcomes come from a topic of their own; what cannot be taken goes to a fourth, with the reason.
    Several workers share the work. A release changes the model between two batches.

    Examples: [b]MODELYARD_KAFKA=localhost:9092 python run.py stream taxi[/b] · [b]python run.py stream taxi
    --requests trips --predictions durations[/b]
    """
    from console import streaming as console

    topics = console.topics_of(
        use_case, requests=requests, outcomes=outcomes, predictions=predictions, refused=refused
    )
    document = console.stream(
        call.settings,
        call.progress,
        use_case,
        topics,
        group=group,
        member=member,
        metrics_port=metrics_port,
        window=window,
        bento=bento,
    )
    call.answer(document, console.report)


@command(app, "replay-trips")
def replay_trips(
    call: Call,
    use_case: UseCaseName,
    speed: Annotated[
        str,
        typer.Option(
            metavar="60x|max", help="How many times as fast as they happened; max: without waiting."
        ),
    ] = "60x",
    source: Source = None,
    months: Months = None,
    rows: Annotated[int | None, typer.Option(min=1, help="At most so many, the earliest first.")] = None,
    requests: Annotated[
        str | None,
        typer.Option(metavar="TOPIC", show_default="modelyard.NAME.requests", help="Where requests go."),
    ] = None,
    outcomes: Annotated[
        str | None,
        typer.Option(metavar="TOPIC", show_default="modelyard.NAME.outcomes", help="Where outcomes go."),
    ] = None,
) -> None:
    """Send real rows as events in the order of their time: each request, and later what came true of it.

    A day takes 24 minutes at 60x; pauses of more than six hours are left out. Beside it, [b]stream[/b] scores
    what is sent, and its gauges show the live error.

    Examples: [b]python run.py replay-trips taxi --speed 60x[/b] · [b]python run.py replay-trips taxi
    --speed max --rows 10000[/b]
    """
    from console import streaming as console

    topics = console.topics_of(use_case, requests=requests, outcomes=outcomes)
    document = console.replay_trips(
        call.settings, call.progress, use_case, topics, speed, source, months, rows
    )
    call.answer(document, console.report_replay)
