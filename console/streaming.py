"""`stream`: a worker of a stream, from what is set to its end."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from errors import ReleaseError

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
) -> Document:
    """Score what comes until SIGTERM or Ctrl-C.

    Raises:
        UsageError: there is no such use case, no broker is named, or the port for metrics is taken.
        BrokerError: the broker does not answer, or refuses.
        ReleaseError: nothing of the use case serves.
    """
    import broker
    import usecases
    from console.watching import seconds
    from db.migrate import upgrade
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
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with progress.stage("Kafka"):
        configuration = broker.configuration(settings)
        broker.reach(configuration)
        made = broker.make_topics(
            configuration, [topics.requests, topics.outcomes, topics.predictions, topics.refused]
        )
    with progress.stage("PostgreSQL"):
        url = connect(settings).modelyard
        upgrade(url)
    with progress.stage("model"):
        model = Following(lambda: _serving(url, use_case), lambda bento: _load(settings, bento))
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
        model.start(stopping)
        Gauges(url, use_case, lambda: model().endpoint.version, metrics, of_late).start(stopping)
        worker.run(stopping)
    return {"use_case": use_case, "group": consumers, "version": model().endpoint.version, **metrics.counts()}


def report(document: Mapping[str, Any]) -> RenderableType:
    """What became of the events."""
    told = ", ".join(f"{document[name]:,} {name}" for name in ("predicted", "repeated", "outcome", "refused"))
    return f"[bold]{document['use_case']}[/] as {document['group']}: {told}."


def _serving(url: str, use_case: str) -> str:
    from db import releases

    found = releases.serving(url, use_case, "local")
    if found is None:
        raise ReleaseError(
            f"Nothing of {use_case} serves, so there is no model to score by: "
            f"python run.py release {use_case}"
        )
    return found.bento


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
