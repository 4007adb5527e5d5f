"""Mistakes that a taxi predictor of this kind is known to have made elsewhere; none may come back here."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import usecases
from serving import model
from tests.problems import answer, answer_batch, documents, endpoint, fast, fitted, rows, valid
from training import plan, search
from usecases.base import Split

TAXI = usecases.load("taxi")
CANDIDATES = [candidate.name for candidate in TAXI.candidates]
each_candidate = pytest.mark.parametrize("candidate", CANDIDATES)


def pairs() -> list[dict[str, Any]]:
    """One trip between the zones of each of the pairs that most trips went between, all else equal."""
    frequent = rows("taxi").value_counts(["PULocationID", "DOLocationID"]).index[:12]
    return [{**TAXI.example, "PULocationID": start, "DOLocationID": end} for start, end in frequent]


def distinct(minutes: Any) -> int:
    return len({round(float(value), 6) for value in minutes})


@each_candidate
def test_zones_change_what_the_model_predicts(candidate: str) -> None:
    frame = TAXI.request_frame(valid(TAXI, pairs()))
    assert distinct(model.predict(TAXI, fitted("taxi", candidate), frame)) >= 10


@each_candidate
def test_zones_change_what_a_compiled_model_predicts(candidate: str) -> None:
    requests = valid(TAXI, pairs())
    assert distinct(fast("taxi", candidate).predict(request) for request in requests) >= 10


@each_candidate
def test_zones_change_the_answer_to_one_request(candidate: str) -> None:
    answers = [answer(endpoint("taxi", candidate), trip) for trip in pairs()]
    assert distinct(came["duration_minutes"] for came in answers) >= 10


@each_candidate
def test_zones_change_the_answers_within_a_batch(candidate: str) -> None:
    answers = answer_batch(endpoint("taxi", candidate), pairs())
    assert distinct(came["duration_minutes"] for came in answers) >= 10


@each_candidate
@pytest.mark.parametrize("zone", ["PULocationID", "DOLocationID"])
def test_either_zone_alone_changes_the_prediction(candidate: str, zone: str) -> None:
    kept = "DOLocationID" if zone == "PULocationID" else "PULocationID"
    busiest = rows("taxi")[kept].mode().iloc[0]
    there = rows("taxi").loc[rows("taxi")[kept] == busiest, zone].value_counts().index[:6]
    trips = [{**TAXI.example, kept: int(busiest), zone: int(other)} for other in there]
    frame = TAXI.request_frame(valid(TAXI, trips))
    assert distinct(model.predict(TAXI, fitted("taxi", candidate), frame)) >= 5


def test_the_way_there_and_the_way_back_are_two_trips() -> None:
    known = set(zip(rows("taxi")["PULocationID"], rows("taxi")["DOLocationID"], strict=True))
    start, end = next((a, b) for a, b in sorted(known) if a < b and (b, a) in known)
    there = {**TAXI.example, "PULocationID": int(start), "DOLocationID": int(end)}
    back = {**there, "PULocationID": int(end), "DOLocationID": int(start)}
    for candidate in CANDIDATES:
        frame = TAXI.request_frame(valid(TAXI, [there, back]))
        assert distinct(model.predict(TAXI, fitted("taxi", candidate), frame)) == 2


def test_answering_does_not_change_the_example_that_requests_are_made_from() -> None:
    before = copy.deepcopy(dict(TAXI.example))
    answer(endpoint("taxi", "ridge"), dict(TAXI.example))
    endpoint("taxi", "ridge").describe()
    assert dict(TAXI.example) == before


def test_a_training_without_options_has_no_gap_in_its_plan(tmp_path: Path) -> None:
    made = plan.make(TAXI, downloads=tmp_path)
    assert made.candidates == CANDIDATES
    assert made.source == "sample"
    assert made.cutoff == "2024-02-01"
    assert None not in made.files


def test_cleaned_rows_really_hold_the_duration() -> None:
    kept = rows("taxi")
    minutes = (kept["lpep_dropoff_datetime"] - kept["lpep_pickup_datetime"]).dt.total_seconds() / 60
    assert kept["duration"].tolist() == minutes.tolist()


@each_candidate
def test_the_model_is_fitted_on_training_rows_alone_and_judged_by_the_others(candidate: str) -> None:
    train, validation = TAXI.split(rows("taxi").iloc[::2], "2024-02-01", 42)
    chosen = TAXI.candidate(candidate)
    judged, result = search.compete(TAXI, chosen, train, validation, trials=1, seed=42)
    alone = search.fit(TAXI, chosen, chosen.defaults, train, seed=42)
    assert TAXI.predict(judged, validation).tobytes() == TAXI.predict(alone, validation).tobytes()
    assert result.scores.overall.rows == len(validation)


@each_candidate
def test_parameters_that_are_given_win_over_the_defaults(candidate: str) -> None:
    chosen = TAXI.candidate(candidate)
    for name, default in chosen.defaults.items():
        assert not isinstance(default, bool | str)
        changed = default * 2 if isinstance(default, int) else default / 2
        built = chosen.build({**chosen.defaults, name: changed}, 0).get_params()
        assert [value for path, value in built.items() if path.split("__")[-1] == name][-1] == changed


def test_candidates_that_are_asked_for_are_those_that_compete(tmp_path: Path) -> None:
    assert plan.make(TAXI, downloads=tmp_path, candidates=["ridge"]).candidates == ["ridge"]


def test_the_model_and_its_vectorizer_are_one_thing_with_the_same_columns() -> None:
    parts: Split = TAXI.split(rows("taxi"), "2024-02-01", 42)
    chosen = TAXI.candidate("baseline")
    pipeline = search.fit(TAXI, chosen, chosen.defaults, parts.train, seed=42)
    vectorizer, regression = (step for _, step in pipeline.named_steps["model"].steps)
    names = vectorizer.vectorizer_.get_feature_names_out()
    assert regression.n_features_in_ == len(names)
    seen = {f"PU_DO={p}_{d}" for p, d in parts.train[["PULocationID", "DOLocationID"]].to_numpy()}
    assert set(names) == seen | {"trip_distance"}


def test_an_absurd_distance_in_the_data_moves_no_answer_out_of_reason() -> None:
    taxi = rows("taxi")
    spoilt = taxi.assign(trip_distance=taxi["trip_distance"].where(taxi.index % 50 > 0, 200_000.0))
    for candidate in ("ridge", "gradient_boosting"):
        chosen = TAXI.candidate(candidate)
        fit = search.fit(TAXI, chosen, chosen.defaults, spoilt, seed=42)
        minutes = TAXI.predict(fit, taxi.iloc[::4])
        assert TAXI.metric.score(taxi["duration"].iloc[::4], minutes) < 8
        assert np.abs(minutes).max() <= 60


def test_recorded_trips_are_answered_as_the_offline_model_predicts_them() -> None:
    some = rows("taxi").loc[rows("taxi")["trip_distance"] <= 100].head(200)
    offline = model.predict(TAXI, fitted("taxi", "gradient_boosting"), some)
    answers = answer_batch(endpoint("taxi", "gradient_boosting"), documents(TAXI, some))
    minutes = [came["duration_minutes"] for came in answers]
    assert minutes == pytest.approx(offline.tolist(), rel=0, abs=TAXI.parity)
