"""Counters of an endpoint: of several processes, of killed ones, and as Prometheus reads them."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from bisect import bisect_right
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving.metrics import BOUNDS, LogState, Metrics
from serving.ranges import Ranges
from usecases.taxi.contract import CONTRACT, TripRequest
from usecases.titanic.contract import PassengerRequest

INFO = {"model": "titanic", "version": "1", "candidate": "boosted", "bento": "titanic:1-abc"}
PROFILE = {
    "rows": 10,
    "columns": {
        "Pclass": {"missing": 0, "counts": {"1": 4, "3": 6}},
        "Sex": {"missing": 0, "counts": {"female": 10}},
        "Age": {"missing": 2, "quantiles": {"0.0": 1.0, "0.5": 30.0, "1.0": 70.0}},
        "Fare": {"missing": 0, "counts": {"7.25": 5, "80.0": 5}},
    },
}
RANGES = Ranges(PassengerRequest, PROFILE)
PASSENGER = PassengerRequest(Pclass=1, Sex="female", Age=30.0, Fare=10.0)

spawn = multiprocessing.get_context("spawn")


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """(name, label values by their names' order …) → value."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }


def count(folder: Path, requests: int, ready: Any, go_on: Any) -> None:
    """A worker that counts so many requests, says so, and stays until it is told to go on."""
    metrics = Metrics(folder, INFO, RANGES)
    for _ in range(requests):
        metrics.begin()
        metrics.predicted(PASSENGER)
        metrics.end("predict", 200, 0.002)
    metrics.begin()
    ready.set()
    go_on.wait()


def started(folder: Path, requests: int) -> tuple[Any, Any, Any]:
    ready, go_on = spawn.Event(), spawn.Event()
    worker = spawn.Process(target=count, args=(folder, requests, ready, go_on))
    worker.start()
    return worker, ready, go_on


def test_any_worker_answers_for_all_of_them_and_none_loses_a_count(tmp_path: Path) -> None:
    workers = [started(tmp_path, 20_000) for _ in range(2)]
    for _, ready, _ in workers:
        assert ready.wait(60)
    found = samples(Metrics(tmp_path, INFO, RANGES))
    assert found["modelyard_requests_total", "predict", "200"] == 40_000
    assert found["modelyard_predictions_total", "titanic", "1"] == 40_000
    assert found["modelyard_request_duration_seconds_count", "predict"] == 40_000
    assert found["modelyard_request_duration_seconds_sum", "predict"] == pytest.approx(80)
    assert found["modelyard_requests_in_flight",] == 2
    assert {key[1] for key in found if key[0] == "modelyard_process_resident_memory_bytes"} == {"0", "1", "2"}
    for worker, _, go_on in workers:
        go_on.set()
        worker.join()


def test_what_a_killed_worker_counted_stays_and_its_successor_goes_on_from_there(tmp_path: Path) -> None:
    seeing = Metrics(tmp_path, INFO, RANGES)
    worker, ready, _ = started(tmp_path, 100)
    assert ready.wait(60)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    found = samples(seeing)
    assert found["modelyard_requests_total", "predict", "200"] == 100
    assert found["modelyard_requests_in_flight",] == 0, "the request under way ended with it"

    worker, ready, go_on = started(tmp_path, 7)
    assert ready.wait(60)
    found = samples(seeing)
    assert found["modelyard_requests_total", "predict", "200"] == 107
    assert found["modelyard_requests_in_flight",] == 1
    assert len(list(tmp_path.iterdir())) == 2, "the successor has the file of the killed one"
    go_on.set()
    worker.join()


def test_another_model_version_begins_with_zeros(tmp_path: Path) -> None:
    Metrics(tmp_path, INFO, RANGES).predicted(PASSENGER)
    found = samples(Metrics(tmp_path, INFO | {"version": "2"}, RANGES))
    assert found["modelyard_predictions_total", "titanic", "2"] == 0


def test_buckets_are_cumulative_and_agree_with_the_durations() -> None:
    metrics = Metrics(None, INFO, RANGES)
    durations = sorted([*BOUNDS, *(bound * 1.01 for bound in BOUNDS), 0.0, 60.0])
    for seconds in durations:
        metrics.begin()
        metrics.end("infer", 200, seconds)
    found = samples(metrics)
    buckets = {
        float(key[1]): value
        for key, value in found.items()
        if key[0] == "modelyard_request_duration_seconds_bucket" and key[2] == "infer"
    }
    assert buckets == {bound: bisect_right(durations, bound) for bound in (*BOUNDS, float("inf"))}
    assert found["modelyard_request_duration_seconds_sum", "infer"] == pytest.approx(sum(durations))


def test_every_status_and_reason_is_counted_by_itself() -> None:
    metrics = Metrics(None, INFO, RANGES)
    for status in (422, 503, 503):
        metrics.begin()
        metrics.end("predict_batch", status, 0.1)
    metrics.refused("overloaded")
    found = samples(metrics)
    assert found["modelyard_requests_total", "predict_batch", "422"] == 1
    assert found["modelyard_requests_total", "predict_batch", "503"] == 2
    assert found["modelyard_requests_total", "predict_batch", "200"] == 0
    assert found["modelyard_refused_total", "overloaded"] == 1


def test_labels_with_quotes_backslashes_and_line_breaks_come_through() -> None:
    candidate = 'a "b" \\ c\nd'
    metrics = Metrics(None, INFO | {"candidate": candidate}, RANGES)
    assert samples(metrics)["modelyard_model_info", "titanic:1-abc", candidate, "titanic", "1"] == 1


def test_the_log_of_a_worker_that_begins_anew_goes_on_counting(tmp_path: Path) -> None:
    def states() -> Any:
        return lambda: LogState(rows=5, dropped={"full": 2}, spool_bytes=99, lag_seconds=1.5, connected=True)

    first = Metrics(tmp_path, INFO, RANGES, states())
    first.publish()
    found = samples(first)
    assert found["modelyard_prediction_log_rows_total",] == 5, "publishing twice counts once"
    second = Metrics(tmp_path, INFO, RANGES, states())
    found = samples(second)
    assert found["modelyard_prediction_log_rows_total",] == 10
    assert found["modelyard_prediction_log_dropped_total", "full"] == 4
    assert found["modelyard_prediction_log_spool_bytes",] == 99, "both see the same folder"
    assert found["modelyard_prediction_log_connected",] == 1


@pytest.mark.parametrize(
    ("passenger", "outside"),
    [
        (PASSENGER, []),
        (PASSENGER.model_copy(update={"Age": None}), []),
        (PASSENGER.model_copy(update={"Age": 70.5}), ["Age"]),
        (PASSENGER.model_copy(update={"Age": 0.5, "Pclass": 2}), ["Pclass", "Age"]),
        (PASSENGER.model_copy(update={"Sex": "male"}), ["Sex"]),
        (PASSENGER.model_copy(update={"Fare": None}), ["Fare"]),
        (PASSENGER.model_copy(update={"Fare": 81.0}), ["Fare"]),
        (PASSENGER.model_copy(update={"SibSp": 20}), []),
    ],
    ids=lambda value: ",".join(value) or "nothing" if isinstance(value, list) else "",
)
def test_values_that_training_did_not_see_are_counted_by_row_and_by_column_alike(
    passenger: PassengerRequest, outside: list[str]
) -> None:
    import numpy as np

    def value(name: str) -> Any:
        found = getattr(passenger, name)
        number = np.nan if found is None else found
        return np.array([number, number], dtype=object if name == "Sex" else None)

    by_row, by_column = Metrics(None, INFO, RANGES), Metrics(None, INFO, RANGES)
    by_row.predicted(passenger)
    by_row.predicted(passenger)
    by_column.predicted_columns({name: value(name) for name in PassengerRequest.model_fields}, 2)
    for metrics in (by_row, by_column):
        found = samples(metrics)
        counted = {name: found["modelyard_input_out_of_range_total", name] for name in RANGES.fields}
        assert counted == {name: 2.0 if name in outside else 0.0 for name in RANGES.fields}
        assert found["modelyard_predictions_total", "titanic", "1"] == 2


def test_moments_and_columns_that_the_profile_knows_in_part_are_not_checked() -> None:
    profile = {
        "rows": 1000,
        "columns": {
            "lpep_pickup_datetime": {"missing": 0, "quantiles": {"0.0": 1.7e9, "1.0": 1.71e9}},
            "PULocationID": {"missing": 0, "counts": {"74": 10}},
            "trip_distance": {"missing": 0, "quantiles": {"0.0": 0.1, "1.0": 30.0}},
        },
    }
    ranges = Ranges(TripRequest, profile)
    assert ranges.fields == ("trip_distance",)
    trip = TripRequest.model_validate_json(json.dumps({**CONTRACT.example, "trip_distance": 30.5}))
    assert ranges.outside(trip) == [0]
