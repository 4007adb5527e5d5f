"""`stream`: a worker of a stream, from what is set to its end; `replay-trips`: what it has to do."""

from __future__ import annotations

import logging
import math
import re
import signal
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import ReleaseError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from console.progress import Progress
    from serving.endpoint import Endpoint
    from settings import Settings
    from streaming.events import Topics

Document = dict[str, Any]

logger = logging.getLogger("modelyard.stream")


def topics_of(use_case: str, **named: str | None) -> Topics:
    """The topics of a use case, but for those that are named otherwise."""
    from streaming.events import Topics

    names = ("requests", "outcomes", "predictions", "refused")
    return Topics(**{name: named.get(name) or f"modelyard.{use_case}.{name}" for name in names})


def stream(
    settings: Settings,
    progress: Progress,
    use_case: str,
    topics: Topics,
    *,
    group: str | None,
    member: str | None,
    metrics_port: int,
    window: str,
    bento: Path | None = None,
) -> Document:
    """Score what comes until SIGTERM or Ctrl-C; by the Bento in a folder, or by the one that serves.

    Raises:
        UsageError: there is no such use case, no broker is named, or the port for metrics is taken.
        BrokerError: the broker does not answer, or refuses.
        ReleaseError: nothing of the use case serves.
    """
    import broker
    import usecases
    from console.watching import seconds
    from db.migrate import upgrade
    from serving import endpoint
    from stacks.session import connect
    from streaming import metrics as counts
    from streaming.gauges import Gauges
    from streaming.model import Following
    from streaming.scoring import Outcomes
    from streaming.store import Store
    from streaming.worker import Worker

    usecases.contract_of(use_case)
    of_late = timedelta(seconds=seconds(window))
    _log()
    stopping = _stopping()
    with progress.stage("Kafka"):
        configuration = broker.configuration(settings)
        broker.reach(configuration)
        made = broker.make_topics(
            configuration, [topics.requests, topics.outcomes, topics.predictions, topics.refused]
        )
    with progress.stage("PostgreSQL"):
        if bento is None:
            url = connect(settings).modelyard
            upgrade(url)
        else:
            url = _log_of_endpoints(settings)
    with progress.stage("model"):
        model = (
            Following(lambda: _serving(url, use_case), lambda tag: _load(settings, tag))
            if bento is None
            else Following(lambda: str(bento), lambda folder: endpoint.load(Path(folder) / "src"))
        )
    for name in made:
        logger.info("Made the topic %s", name)
    metrics = counts.Metrics(use_case)
    consumers = group or f"modelyard-{use_case}"
    worker = Worker(
        configuration,
        topics,
        consumers,
        Store(lambda: url, use_case, consumers),
        model,
        Outcomes(use_case),
        metrics,
        member,
    )
    with counts.serving(metrics, metrics_port, lambda: worker.ready) as port:
        logger.info(
            "Scoring %s by version %d; metrics at :%d/metrics",
            topics.requests,
            model().endpoint.version,
            port,
        )
        if bento is None:
            model.start(stopping)
        Gauges(url, use_case, lambda: model().endpoint, metrics, of_late).start(stopping)
        worker.run(stopping)
    return {"use_case": use_case, "group": consumers, "version": model().endpoint.version, **metrics.counts()}


def report(document: Mapping[str, Any]) -> RenderableType:
    """What became of the events."""
    told = ", ".join(f"{document[name]:,} {name}" for name in ("predicted", "repeated", "outcome", "refused"))
    return f"[bold]{document['use_case']}[/] as {document['group']}: {told}."


def replay_trips(
    settings: Settings,
    progress: Progress,
    use_case: str,
    topics: Topics,
    speed: str,
    source: str | None,
    months: str | None,
    count: int | None,
) -> Document:
    """Send a use case's rows as events until all are sent, or until SIGTERM or Ctrl-C.

    Raises:
        UsageError: there is no such use case, source or speed, or it doesn't know when its rows happened.
        BrokerError: the broker does not answer, or refuses.
        DataError: there are no such rows.
    """
    from dataclasses import asdict

    import broker
    import usecases
    from streaming.replay import send, timeline
    from training.months import expand

    case, times = usecases.load(use_case), _speed(speed)
    stopping = _stopping()
    with progress.stage("Kafka"):
        configuration = broker.configuration(settings)
        broker.reach(configuration)
        broker.make_topics(configuration, [topics.requests, topics.outcomes])
    with progress.stage("rows"):
        chosen = source or next(iter(case.sources))
        files = case.locate(chosen, expand(months) if months else None, settings.home / "downloads")
        rows = case.clean(case.read(files)).frame
        if case.moment is not None and count is not None:
            rows = rows.nsmallest(count, case.moment)
    with progress.stage("send"):
        sent = send(configuration, topics, timeline(case, rows), times, stopping)
    return {"use_case": use_case, "source": chosen, "speed": speed, **asdict(sent)}


def report_replay(document: Mapping[str, Any]) -> RenderableType:
    """How much was sent."""
    return (
        f"[bold]{document['use_case']}[/]: {document['requests']:,} requests and {document['outcomes']:,} "
        f"outcomes in {document['seconds']:.1f} s."
    )


def _speed(text: str) -> float:
    if text == "max":
        return math.inf
    found = re.fullmatch(r"(\d+(?:\.\d+)?)x", text)
    if found is None or not float(found[1]):
        raise UsageError(f"--speed takes a factor such as 60x, or max; it is {text!r}.")
    return float(found[1])


def _stopping() -> threading.Event:
    """What SIGTERM and Ctrl-C set."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    return stopping


def _serving(url: str, use_case: str) -> str:
    from db import releases

    found = releases.serving(url, use_case, "local")
    if found is None:
        raise ReleaseError(
            f"Nothing of {use_case} serves, so there is no model to score by: "
            f"python run.py release {use_case}"
        )
    return found.bento


def _log_of_endpoints(settings: Settings) -> str:
    """Where endpoints in a cluster log, by the login of streams; its password is put into PGPASSWORD."""
    from db.databases import enter

    if settings.stream_url is None:
        raise UsageError("With --bento the database is the one of MODELYARD_STREAM_URL; it is not set.")
    return enter(settings.stream_url)


def _load(settings: Settings, bento: str) -> Endpoint:
    from serving import endpoint

    return endpoint.load(settings.home / "bentoml" / "bentos" / bento.replace(":", "/") / "src")


def _log() -> None:
    """A line each for a person, JSON for whoever collects."""
    from serving.logs import Limit, Lines

    handler = logging.StreamHandler(sys.__stderr__)
    handler.addFilter(Limit())
    handler.setFormatter(logging.Formatter("%(message)s") if sys.stderr.isatty() else Lines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("modelyard").setLevel(logging.INFO)
