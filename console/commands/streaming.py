"""`stream` and `replay-trips`: score on Kafka, and send what is to be scored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console.command import Call, command
from console.options import Months, Source, UseCaseName
from errors import UsageError

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
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            show_default="the autoscaler's",
            help="In a cluster: so many pods, however many events wait.",
        ),
    ] = None,
    stop: Annotated[
        bool,
        typer.Option("--stop", help="In a cluster: take the workers away; its place in the topics is kept."),
    ] = False,
    render: Annotated[
        bool, typer.Option("--render", help="For a cluster: print its manifests, and apply nothing.")
    ] = False,
) -> None:
    """Score requests from a topic of Kafka by the model that serves, until Ctrl-C or SIGTERM.

    The broker is named by MODELYARD_KAFKA. Answers go to a topic and to the prediction log, one row for each
    event id; outcomes come from a topic of their own; what cannot be taken goes to a fourth, with the reason.
    Several workers share the work. A release changes the model between two batches.

    With --stack kubernetes: deploys workers as pods, and comes back once they are ready. Releases move them.
    The broker and its login are put into the Secret modelyard-kafka; where none is set, what it has holds.

    Examples: [b]MODELYARD_KAFKA=localhost:9092 python run.py stream taxi[/b] · [b]python run.py stream taxi
    --requests trips --predictions durations[/b] · [b]python run.py --stack kubernetes stream taxi
    --workers 3[/b]
    """
    from console import streaming as console
    from console.releases import is_cluster

    if is_cluster(call.stack):
        if member or bento or metrics_port != 9400:
            raise UsageError("--member, --bento and --metrics-port are for workers on this machine.")
        from console import stream_pods as pods

        if stop:
            call.answer(pods.stop(call.settings, call.progress, use_case), pods.report)
            return
        named = {"requests": requests, "outcomes": outcomes, "predictions": predictions, "refused": refused}
        asked = pods.asked(workers, window, {**named, "group": group})
        if render:
            typer.echo(pods.render(call.settings, call.progress, use_case, asked), nl=False)
        else:
            call.answer(pods.deploy(call.settings, call.progress, use_case, asked), pods.report)
        return
    if workers or stop or render:
        raise UsageError(
            "--workers, --stop and --render are for a cluster: --stack kubernetes. Here Ctrl-C ends it."
        )
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
