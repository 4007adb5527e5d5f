"""What an endpoint counts, for Prometheus.

Each worker counts in doubles of its own, in a file that it maps into its memory: counting is a store, takes
no lock and no system call, and what a killed worker has counted is still there. Any worker adds up all files:

    metrics-<digest>.0
    metrics-<digest>.1
    metrics-<digest>.2

A file is its worker's as long as that holds the lock on it; then the next one goes on counting in it. The
digest is that of all names in it, the model version's included: another version begins with zeros.
"""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import json
import mmap
import os
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from prometheus_client import Metric
    from pydantic import BaseModel

    from serving.ranges import Ranges

ROUTES = ("predict", "predict_batch", "infer", "explain", "outcomes", "other")
BOUNDS = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the buckets of durations, in seconds."""
REASONS = ("invalid", "unauthorized", "forbidden", "too_large", "overloaded", "timeout", "unavailable")
"""Why a request is refused."""
DROPS = ("full", "disk", "torn", "refused")
"""Why a row is not logged."""

# Places in a file; after the fixed ones come the fields that may be out of range, then the routes.
_PID, _IN_FLIGHT, _PREDICTIONS, _LOG_ROWS, _LOG_BYTES, _LOG_LAG, _LOG_CONNECTED = range(7)
_LOG_DROPS = 7
_REFUSED = _LOG_DROPS + len(DROPS)
_FIELDS = _REFUSED + len(REASONS)
# And in the part of a route: a count for every status, the buckets, the sum of durations.
_STATUSES = 600
_ALWAYS = (200, 500, 503)
"""Shown with zero, too: Prometheus sees no rise in a series that begins with its first count."""
_SUM = _STATUSES + len(BOUNDS) + 1
_ROUTE_SIZE = _SUM + 1


@dataclass(frozen=True)
class LogState:
    """How the prediction log of one worker is doing."""

    rows: int
    """Logged since the worker began."""
    dropped: Mapping[str, int]
    """Not logged since then, by one of `DROPS`."""
    spool_bytes: int
    """What waits on disk, of all workers."""
    lag_seconds: float
    """Age of the oldest row that waits."""
    connected: bool


class Metrics:
    """Counters of one worker, and the sums of all; to be called by one thread, the event loop's."""

    def __init__(
        self,
        folder: Path | None,
        info: Mapping[str, str],
        ranges: Ranges,
        log: Callable[[], LogState] | None = None,
    ) -> None:
        """Count in a file in `folder`, which the workers of an endpoint share; None: in private memory.

        `info` are the labels of `modelyard_model_info`, `model` and `version` among them; `log` is asked
        whenever `publish` is called.

        Raises:
            OSError: the folder cannot be made or written to.
        """
        self._info = dict(info)
        self._ranges = ranges
        self._log = log
        self._logged: dict[int, float] = {}
        first = _FIELDS + len(ranges.fields)
        self._routes = {route: first + i * _ROUTE_SIZE for i, route in enumerate(ROUTES)}
        self._refusals = {reason: _REFUSED + i for i, reason in enumerate(REASONS)}
        size = 8 * (first + len(ROUTES) * _ROUTE_SIZE)
        names = [ROUTES, BOUNDS, REASONS, DROPS, _STATUSES, ranges.fields, sorted(self._info.items())]
        self._pattern = f"metrics-{hashlib.sha256(json.dumps(names).encode()).hexdigest()[:16]}."
        self._folder = folder
        self._memory: bytearray | mmap.mmap
        self._worker, self._memory = (0, bytearray(size)) if folder is None else self._claim(folder, size)
        self._values = memoryview(self._memory).cast("d")
        self._values[_PID] = os.getpid()
        # The requests of the worker before ended with it.
        for gauge in (_IN_FLIGHT, _LOG_BYTES, _LOG_LAG, _LOG_CONNECTED):
            self._values[gauge] = 0.0

    def begin(self) -> None:
        """A request has come."""
        self._values[_IN_FLIGHT] += 1.0

    def end(self, route: str, status: int, seconds: float) -> None:
        """It was answered; `route` is one of `ROUTES`."""
        values, start = self._values, self._routes[route]
        values[start + status] += 1.0
        values[start + _STATUSES + bisect_left(BOUNDS, seconds)] += 1.0
        values[start + _SUM] += seconds
        values[_IN_FLIGHT] -= 1.0

    def predicted(self, request: BaseModel) -> None:
        """A request has got its prediction."""
        values = self._values
        values[_PREDICTIONS] += 1.0
        for position in self._ranges.outside(request):
            values[_FIELDS + position] += 1.0

    def predicted_columns(self, columns: Mapping[str, Any], rows: int) -> None:
        """So many rows of columns have got theirs."""
        self._values[_PREDICTIONS] += rows
        for position, count in self._ranges.outside_columns(columns):
            self._values[_FIELDS + position] += count

    def refused(self, reason: str) -> None:
        """A request was refused for one of `REASONS`."""
        self._values[self._refusals[reason]] += 1.0

    def publish(self) -> None:
        """Take over how the log is doing; called every second or so, so that other workers know of it."""
        if self._log is None:
            return
        state = self._log()
        counted = {_LOG_ROWS: state.rows}
        counted |= {_LOG_DROPS + i: state.dropped.get(reason, 0) for i, reason in enumerate(DROPS)}
        for place, count in counted.items():
            # What the worker before has counted stays.
            self._values[place] += count - self._logged.get(place, 0)
            self._logged[place] = count
        self._values[_LOG_BYTES] = state.spool_bytes
        self._values[_LOG_LAG] = state.lag_seconds
        self._values[_LOG_CONNECTED] = state.connected

    def exposition(self) -> bytes:
        """The sums of all workers in Prometheus' text format."""
        from prometheus_client import generate_latest

        self.publish()
        return generate_latest(self)

    def collect(self) -> Iterator[Metric]:
        """The sums of all workers; what prometheus_client asks a collector for."""
        import psutil
        from prometheus_client.core import CounterMetricFamily as Counter
        from prometheus_client.core import GaugeMetricFamily as Gauge
        from prometheus_client.core import HistogramMetricFamily as Histogram
        from prometheus_client.utils import floatToGoString

        workers = dict(self._workers())
        totals = np.sum(list(workers.values()), axis=0).tolist()
        running = {}
        for worker, values in workers.items():
            try:
                running[worker] = psutil.Process(int(values[_PID]))
            except psutil.NoSuchProcess:  # its counts count, its state does not
                continue
        states = np.array([workers[worker] for worker in running])

        requests = Counter("modelyard_requests", "Requests answered.", labels=["route", "status"])
        durations = Histogram(
            "modelyard_request_duration_seconds", "Time from a request to its answer.", labels=["route"]
        )
        for route, start in self._routes.items():
            for status in range(_STATUSES):
                if totals[start + status] or status in _ALWAYS:
                    requests.add_metric([route, str(status)], totals[start + status])
            ends = [floatToGoString(bound) for bound in (*BOUNDS, float("inf"))]
            buckets = itertools.accumulate(totals[start + _STATUSES : start + _SUM])
            durations.add_metric([route], list(zip(ends, buckets, strict=True)), totals[start + _SUM])
        yield requests
        yield durations
        yield Gauge("modelyard_requests_in_flight", "Requests under way.", float(states[:, _IN_FLIGHT].sum()))

        model = {name: self._info[name] for name in ("model", "version")}
        predictions = Counter("modelyard_predictions", "Rows predicted.", labels=list(model))
        predictions.add_metric(list(model.values()), totals[_PREDICTIONS])
        yield predictions
        yield _by(
            Counter("modelyard_input_out_of_range", "Values outside what training saw.", labels=["feature"]),
            dict(zip(self._ranges.fields, totals[_FIELDS:], strict=False)),
        )
        yield _by(
            Counter("modelyard_refused", "Requests refused.", labels=["reason"]),
            {reason: totals[place] for reason, place in self._refusals.items()},
        )

        if self._log is not None:
            yield Counter("modelyard_prediction_log_rows", "Rows logged.", totals[_LOG_ROWS])
            yield _by(
                Counter("modelyard_prediction_log_dropped", "Rows not logged.", labels=["reason"]),
                dict(zip(DROPS, totals[_LOG_DROPS:], strict=False)),
            )
            for name, about, value in (
                ("spool_bytes", "What waits on disk to be logged.", states[:, _LOG_BYTES].max()),
                ("lag_seconds", "Age of the oldest row that waits.", states[:, _LOG_LAG].max()),
                ("connected", "1: every worker reaches the database.", states[:, _LOG_CONNECTED].min()),
            ):
                yield Gauge(f"modelyard_prediction_log_{name}", about, float(value))

        info = Gauge("modelyard_model_info", "1; what serves is in the labels.", labels=list(self._info))
        info.add_metric(list(self._info.values()), 1.0)
        yield info
        started = Gauge(
            "modelyard_process_start_time_seconds", "When a worker began, since 1970.", labels=["worker"]
        )
        memory = Gauge(
            "modelyard_process_resident_memory_bytes", "Memory that a worker holds.", labels=["worker"]
        )
        for worker, process in running.items():
            try:
                with process.oneshot():
                    started.add_metric([str(worker)], process.create_time())
                    memory.add_metric([str(worker)], process.memory_info().rss)
            except psutil.NoSuchProcess:  # just now
                continue
        yield started
        yield memory

    def _claim(self, folder: Path, size: int) -> tuple[int, mmap.mmap]:
        """The first file that no living worker has, made when there is none."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._clear(folder)
        for worker in itertools.count():
            # Never closed: the lock is this worker's until it ends.
            descriptor = os.open(folder / f"{self._pattern}{worker}", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            if os.fstat(descriptor).st_size != size:
                # Written, not only sized: a disk that fills up later must not end this process by SIGBUS.
                os.pwrite(descriptor, bytes(size), 0)
            return worker, mmap.mmap(descriptor, size)
        raise AssertionError("numbers do not end")

    def _clear(self, folder: Path) -> None:
        """Remove what other models counted and nobody counts any more."""
        for path in folder.glob("metrics-*"):
            if path.name.startswith(self._pattern):
                continue
            with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()

    def _workers(self) -> Iterator[tuple[int, Any]]:
        """The number and the values of every worker that there is or was."""
        yield self._worker, np.frombuffer(self._memory).copy()
        for path in self._folder.glob(f"{self._pattern}*") if self._folder else ():
            worker = int(path.suffix[1:])
            if worker == self._worker or path.stat().st_size != self._values.nbytes:
                continue  # another one just makes it
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                yield worker, np.frombuffer(mapped).copy()


def _by(family: Any, values: Mapping[str, float]) -> Any:
    """`family`, of one label, with these values."""
    for label, value in values.items():
        family.add_metric([label], value)
    return family
