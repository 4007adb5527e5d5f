"""What the newest check of each use case found, in Prometheus' text format, as it is on record when asked.

Beside the record of releases on MLflow's server (records.py): GET /modelyard/metrics.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

from pydantic import ValidationError

from db.models import VERDICTS
from monitoring.check import Check

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

    from db.checks import RecordedCheck

PATH = "/modelyard/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_OF_SHIFTS = {
    "distance": "How far a column, or the prediction, is from the validation rows; 0 to 1.",
    "tolerated": "Distance that is no news.",
    "drifted": "1 where the distance is beyond chance and farther than tolerated.",
}
_OF_QUALITY = {
    "missing": "Share of the rows without a value.",
    "out_of_range": "Share of the rows with a value that the validation rows never had.",
}
_OF_SCORES = {
    "value": "The use case's metric.",
    "low": "Lower end of its 95% interval.",
    "high": "Upper end of its 95% interval.",
    "promised": "The metric at promotion, on the validation rows of the same slice.",
    "worse": "1 where it is worse than promised beyond doubt and tolerance.",
}

logger = logging.getLogger("modelyard")


def exposition(found: Sequence[RecordedCheck]) -> bytes:
    """Gauges of these checks, one of each use case."""
    from prometheus_client import generate_latest

    return generate_latest(cast("CollectorRegistry", _Collector(found)))


class _Collector:
    """What prometheus_client asks for metrics."""

    def __init__(self, found: Sequence[RecordedCheck]) -> None:
        self._checks: list[Check] = []
        for one in found:
            try:
                self._checks.append(Check.model_validate(one.found))
            except ValidationError as error:
                # Of a newer version of this code; the others are told nevertheless.
                logger.warning("Check %d of %s cannot be read: %s", one.id, one.use_case, error)

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily as Gauge

        checks = self._checks
        verdict = Gauge("modelyard_check_verdict", "1 at the verdict.", labels=["use_case", "verdict"])
        version = Gauge("modelyard_check_model_version", "The version checked.", labels=["use_case"])
        until = Gauge("modelyard_check_timestamp_seconds", "End of the time checked.", labels=["use_case"])
        rows = Gauge("modelyard_check_rows", "Predictions in the time checked.", labels=["use_case"])
        outcomes = Gauge("modelyard_check_outcomes", "Outcomes that came in it.", labels=["use_case"])
        for check in checks:
            for name in VERDICTS:
                verdict.add_metric([check.use_case, name], float(check.verdict == name))
            version.add_metric([check.use_case], check.model_version)
            until.add_metric([check.use_case], check.until.timestamp())
            rows.add_metric([check.use_case], check.rows)
            outcomes.add_metric([check.use_case], check.outcomes)
        yield from (verdict, version, until, rows, outcomes)

        for name, about in _OF_SHIFTS.items():
            gauge = Gauge(f"modelyard_check_{name}", about, labels=["use_case", "column"])
            for check in checks:
                for shift in [*check.shifts, *([check.prediction] if check.prediction else [])]:
                    gauge.add_metric([check.use_case, shift.column], float(getattr(shift, name)))
            yield gauge
        for name, about in _OF_QUALITY.items():
            gauge = Gauge(f"modelyard_check_{name}_ratio", about, labels=["use_case", "column"])
            for check in checks:
                for quality in check.quality:
                    gauge.add_metric([check.use_case, quality.column], getattr(quality, name))
            yield gauge
        labels = ["use_case", "metric", "method", "slice"]
        for name, about in _OF_SCORES.items():
            gauge = Gauge(f"modelyard_check_score_{name}", about, labels=labels)
            for check in checks:
                for performance in filter(None, (check.performance, check.estimated)):
                    for score in performance.scores:
                        where = [check.use_case, performance.metric, performance.method, score.name]
                        gauge.add_metric(where, float(getattr(score, name)))
            yield gauge
