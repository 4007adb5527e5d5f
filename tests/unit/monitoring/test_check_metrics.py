"""What Prometheus is told of the newest checks."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from db.checks import RecordedCheck
from stacks.platform.check_metrics import exposition

UNTIL = datetime(2026, 11, 26, 12, tzinfo=UTC)
SHIFT = {"kind": "numeric", "distance": 0.3, "tolerated": 0.06, "p": 0.0, "drifted": True}
SCORE = {"rows": 900, "value": 5.5, "low": 5.0, "high": 6.0, "promised": 4.6, "worse": True}
FOUND: dict[str, Any] = {
    "use_case": "taxi",
    "model_version": 3,
    "since": "2026-11-25T12:00:00Z",
    "until": UNTIL.isoformat(),
    "rows": 1000,
    "compared": 1000,
    "outcomes": 900,
    "reference_rows": 2000,
    "shifts": [{"column": 'a "b" \\ c\nd', **SHIFT}],
    "prediction": {"column": "prediction", **SHIFT, "drifted": False},
    "quality": [
        {"column": "Age", "missing": 0.5, "missing_before": 0.1, "out_of_range": 0.25, "worse": True}
    ],
    "performance": {
        "metric": "rmse",
        "unit": "minutes",
        "method": "outcomes",
        "scores": [{"name": "overall", **SCORE}, {"name": "hour: late", **SCORE, "worse": False}],
    },
    "estimated": None,
    "findings": [{"kind": "drift", "sentence": "So.", "retrain": True}],
}


def recorded(found: dict[str, Any], use_case: str = "taxi") -> RecordedCheck:
    return RecordedCheck(
        id=7,
        use_case=use_case,
        model_version=3,
        since=UNTIL,
        until=UNTIL,
        verdict="retrain",
        found=found,
        zenml_run=None,
        at=UNTIL,
    )


def told(*checks: RecordedCheck) -> dict[tuple[str, ...], float]:
    """(name, values of the labels in the order of their names) → value."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposition(checks).decode())
        for sample in family.samples
    }


def test_prometheus_reads_all_of_a_check() -> None:
    found = told(recorded(FOUND))
    assert found["modelyard_check_verdict", "taxi", "retrain"] == 1
    assert found["modelyard_check_verdict", "taxi", "good"] == 0
    assert found["modelyard_check_model_version", "taxi"] == 3
    assert found["modelyard_check_timestamp_seconds", "taxi"] == UNTIL.timestamp()
    assert found["modelyard_check_rows", "taxi"] == 1000
    assert found["modelyard_check_outcomes", "taxi"] == 900
    odd = 'a "b" \\ c\nd'
    for name, value in {"distance": 0.3, "tolerated": 0.06, "drifted": 1.0}.items():
        assert found[f"modelyard_check_{name}", odd, "taxi"] == value
    assert found["modelyard_check_drifted", "prediction", "taxi"] == 0
    assert found["modelyard_check_missing_ratio", "Age", "taxi"] == 0.5
    assert found["modelyard_check_out_of_range_ratio", "Age", "taxi"] == 0.25
    for name, value in {"value": 5.5, "low": 5.0, "high": 6.0, "promised": 4.6, "worse": 1.0}.items():
        assert found[f"modelyard_check_score_{name}", "outcomes", "rmse", "overall", "taxi"] == value
    assert found["modelyard_check_score_worse", "outcomes", "rmse", "hour: late", "taxi"] == 0
    assert all(map(math.isfinite, found.values()))


def test_a_check_that_cannot_be_read_does_not_hide_the_others(caplog: pytest.LogCaptureFixture) -> None:
    found = told(recorded({"of": "tomorrow"}, "titanic"), recorded(FOUND))
    assert {key[1] for key in found if key[0] == "modelyard_check_rows"} == {"taxi"}
    assert "Check 7 of titanic cannot be read" in caplog.text


def test_where_nothing_was_checked_nothing_is_told() -> None:
    assert told() == {}
