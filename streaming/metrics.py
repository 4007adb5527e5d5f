"""What a stream counts, for Prometheus, and whether it is ready, for Kubernetes; on a port of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from errors import UsageError

RESULTS = ("predicted", "repeated", "outcome", "refused")
_EVENTS = "modelyard_stream_events_total"
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class Metrics:
    """Counters and gauges of one worker."""

    def __init__(self, use_case: str) -> None:
        self.registry = own = CollectorRegistry()
        self.events = Counter(
            "modelyard_stream_events", "Events by what became of them.", ["result"], registry=own
        )
        for result in RESULTS:
            self.events.labels(result)
        self.batch = Histogram(
            "modelyard_stream_batch_seconds",
            "Time to write a batch.",
            buckets=_BOUNDS,
            registry=own,
        )
        self.delay = Histogram(
            "modelyard_stream_event_seconds",
            "Time from the oldest event of a batch to its prediction's commit.",
            buckets=_BOUNDS,
            registry=own,
        )
        self.lag = Gauge(
            "modelyard_stream_lag", "Events that wait in a partition.", ["topic", "partition"], registry=own
        )
        self.lost = Counter(
            "modelyard_stream_lost", "Events that the broker gave up before they were read.", registry=own
        )
        self.waiting = Gauge(
            "modelyard_stream_waiting",
            "1 while nothing is read since a part is away.",
            ["part"],
            registry=own,
        )
        for part in ("database", "broker"):
            self.waiting.labels(part)
        self.version = Gauge(
            "modelyard_stream_model_version", "Version that predicts.", ["model"], registry=own
        )
        self.version.labels(use_case)
        self.error = Gauge(
            "modelyard_stream_live_error",
            "The metric over what came true of late, by event time.",
            ["version", "metric"],
            registry=own,
        )
        self.drift = Gauge(
            "modelyard_stream_drift",
            "Distance of a column of late from the rows that the version was judged by.",
            ["version", "column"],
            registry=own,
        )

    def counts(self) -> dict[str, int]:
        """How many events became what."""
        found = {result: self.registry.get_sample_value(_EVENTS, {"result": result}) for result in RESULTS}
        return {result: int(count or 0) for result, count in found.items()}


@contextmanager
def serving(metrics: Metrics, port: int, ready: Callable[[], bool], host: str = "0.0.0.0") -> Iterator[int]:  # noqa: S104
    """Answer /metrics, /readyz and /livez for as long as the block; the port, which 0 leaves to the system.

    Raises:
        UsageError: the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = 200, b"ok\n"
            if self.path == "/metrics":
                body = generate_latest(metrics.registry)
            elif self.path == "/readyz":
                status, body = (200, b"ok\n") if ready() else (503, b"no partition, model or database yet\n")
            elif self.path != "/livez":
                status, body = 404, b"/metrics, /readyz, /livez\n"
            self.send_response(status)
            self.send_header("content-type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody wants to read of each look at the metrics."""

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise UsageError(f"Port {port} cannot be had: {error}. Choose another: --metrics-port.") from None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
