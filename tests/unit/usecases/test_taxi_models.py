"""What the candidates learn from trips, and what they must not know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Lasso
from sklearn.svm import LinearSVR

import usecases
from serving import model
from tests.problems import answer, answer_batch, bits, documents, endpoint, fitted, rows, valid
from training import search
from usecases.arithmetic import MANY
from usecases.taxi.encoder import FOLDS, GroupMeans, TripEncoder
from usecases.taxi.features import KEYS, NUMBERS
from usecases.taxi.geography import Geography
from usecases.taxi.models import PairVectorizer
from usecases.taxi.zones import BOROUGHS, NAMES

TAXI = usecases.load("taxi")
CANDIDATES = [candidate.name for candidate in TAXI.candidates]
LEARNERS = ["ridge", "gradient_boosting"]
KNOWN_AT_PICKUP = {
    "PULocationID",
    "DOLocationID",
    "lpep_pickup_datetime",
    "trip_distance",
    "passenger_count",
    "trip_type",
    "VendorID",
}


def predict(candidate: str, *trips: dict[str, Any]) -> np.ndarray:
    requests = valid(TAXI, [{**TAXI.example, **trip} for trip in trips])
    return model.predict(TAXI, fitted("taxi", candidate), TAXI.request_frame(requests))


def test_a_request_holds_what_is_known_at_pick_up_and_nothing_else() -> None:
    assert set(TAXI.request_columns) == KNOWN_AT_PICKUP


def test_features_do_not_change_when_the_end_of_the_trip_does() -> None:
    some = rows("taxi").head(500)
    later = some.assign(
        lpep_dropoff_datetime=some["lpep_dropoff_datetime"] + pd.Timedelta(hours=1), duration=59.0
    )
    assert bits(TAXI.features(later)) == bits(TAXI.features(some))


@pytest.mark.parametrize("changed", [0, 17, 1999])
def test_the_encoding_of_a_training_row_does_not_know_its_own_duration(changed: int) -> None:
    train = rows("taxi")
    X, y = TAXI.features(train), train["duration"]
    other = y.copy()
    other.iloc[changed] = 60.0 if y.iloc[changed] < 30 else 1.0
    before, after = (TripEncoder(seed=1).fit_transform(X, target) for target in (y, other))
    assert before[changed].tobytes() == after[changed].tobytes()
    assert (before != after).any(), "other rows of its groups do see it"


def test_training_rows_are_encoded_by_other_folds_and_new_rows_by_all() -> None:
    train = rows("taxi")
    X, y = TAXI.features(train), train["duration"]
    encoder = TripEncoder(seed=1)
    own_free = encoder.fit_transform(X, y)
    whole = encoder.transform(X)
    assert own_free.shape == whole.shape
    differ = (own_free != whole).any(axis=1)
    assert differ.mean() > 0.99
    # What a row's own duration would give away: the whole encoding goes along with it more closely.
    pair = len(NUMBERS) + KEYS.index("pair")
    overlap = [abs(np.corrcoef(matrix[:, pair], y)[0, 1]) for matrix in (own_free, whole)]
    assert overlap[0] < overlap[1]


def test_there_are_enough_folds_that_training_rows_look_like_new_ones() -> None:
    assert FOLDS >= 5


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_validation_durations_change_no_prediction(candidate: str) -> None:
    train, validation = TAXI.split(rows("taxi").iloc[::2], "2024-02-01", 42)
    upside_down = validation.assign(duration=validation["duration"].to_numpy()[::-1])
    chosen = TAXI.candidate(candidate)
    models = [
        search.compete(TAXI, chosen, train, judged, trials=1, seed=42)[0]
        for judged in (validation, upside_down)
    ]
    first, second = (TAXI.predict(fit, validation) for fit in models)
    assert first.tobytes() == second.tobytes()


def test_a_search_does_not_look_at_validation_rows() -> None:
    train, validation = TAXI.split(rows("taxi").iloc[::2], "2024-02-01", 42)
    ridge = TAXI.candidate("ridge")
    found = [
        search.compete(TAXI, ridge, train, judged, trials=3, seed=42)[1].parameters
        for judged in (validation, validation.assign(duration=1.0), validation.head(1))
    ]
    assert found[0] == found[1] == found[2]


def means(groups: np.ndarray, values: np.ndarray, of: list[int]) -> list[float]:
    (found,) = MANY.lookup(GroupMeans(groups, [values]).lookup(), np.array(of))
    return list(map(float, found))


def test_group_means_are_shrunk_towards_the_overall_mean_where_rows_are_few() -> None:
    groups = np.array([1] * 200 + [2, 2])
    values = np.concatenate([np.tile([8.0, 12.0], 100), [28.0, 32.0]])
    big, small, overall = means(groups, values, of=[1, 2, 3])
    assert overall == pytest.approx(values.mean())
    assert big == pytest.approx(10, abs=0.1)
    assert overall < small < 30


def test_unknown_groups_get_the_overall_mean_on_either_side_of_the_known_ones() -> None:
    assert means(np.array([10, 20]), np.array([1.0, 3.0]), of=[5, 15, 99]) == [2.0, 2.0, 2.0]


def test_group_means_of_equal_values_are_these_values() -> None:
    assert means(np.array([1, 2, 2]), np.full(3, 7.0), of=[1, 2, 3]) == [7.0] * 3


def test_geography_puts_a_way_between_zones_that_no_trip_joined() -> None:
    trips = pd.DataFrame({"pickup": [1, 2], "dropoff": [2, 3], "distance": [2.0, 3.0]})
    geography = Geography().fit(trips.assign(unordered_pair=[1002, 2003]))
    assert geography.paths[1, 3] == geography.paths[3, 1] == pytest.approx(5.0)
    assert np.isfinite(geography.paths).all()
    assert np.isfinite(geography.coordinates).all()


def test_every_zone_has_its_borough_and_the_unknown_ones_say_so() -> None:
    assert [NAMES[BOROUGHS[zone]] for zone in (1, 3, 74, 264, 265)] == [
        "EWR",
        "Bronx",
        "Manhattan",
        "Unknown",
        "Unknown",
    ]


def test_indices_are_32_bits_wide_so_that_every_linear_solver_takes_them() -> None:
    X = TAXI.features(rows("taxi"))
    matrix = PairVectorizer().fit_transform(X)
    assert matrix.indices.dtype == matrix.indptr.dtype == np.int32
    assert matrix.shape == (len(X), X["pair"].nunique() + 1)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few iterations are enough here
@pytest.mark.parametrize("solver", [Lasso(alpha=0.01, max_iter=50), LinearSVR(max_iter=50, random_state=0)])
def test_solvers_that_refuse_wide_indices_fit_on_the_pairs(solver: Any) -> None:
    few = rows("taxi").head(300)
    matrix = PairVectorizer().fit_transform(TAXI.features(few))
    assert np.isfinite(solver.fit(matrix, few["duration"]).predict(matrix)).all()


def test_a_pair_that_was_not_learnt_is_all_zeros_beside_its_distance() -> None:
    X = TAXI.features(rows("taxi"))
    vectorizer = PairVectorizer().fit(X)
    row = vectorizer.transform(X.head(1).assign(pickup=265, dropoff=264, miles=2.5)).toarray()
    assert row.sum() == 2.5


def unusual_trips() -> list[dict[str, Any]]:
    known = set(zip(rows("taxi")["PULocationID"], rows("taxi")["DOLocationID"], strict=True))
    unseen = next((p, d) for p in range(1, 264) for d in range(1, 264) if (p, d) not in known)
    return [
        dict(zip(("PULocationID", "DOLocationID"), unseen, strict=True)),
        {"PULocationID": 264, "DOLocationID": 265},
        {"PULocationID": 265, "DOLocationID": 264, "trip_distance": 100.0},
        {"PULocationID": 1, "DOLocationID": 1, "trip_distance": 0.0},
        {"trip_distance": 0.0},
        {"trip_distance": 5e-324},
        {"trip_distance": 100.0},
        {"lpep_pickup_datetime": "2009-01-01T00:00:00"},
        {"lpep_pickup_datetime": "2099-12-31T23:59:59"},
        {"passenger_count": 0, "trip_type": 2, "VendorID": 6},
        {"passenger_count": 9},
    ]


@pytest.mark.parametrize("candidate", LEARNERS)
def test_unusual_trips_are_answered_within_the_cleaning_rule(candidate: str) -> None:
    minutes = predict(candidate, *unusual_trips())
    assert np.isfinite(minutes).all()
    assert ((minutes >= 1) & (minutes <= 60)).all()


def test_the_baseline_answers_unusual_trips_with_finite_numbers() -> None:
    assert np.isfinite(predict("baseline", *unusual_trips())).all()


@pytest.mark.parametrize("candidate", LEARNERS)
def test_a_longer_way_takes_longer(candidate: str) -> None:
    short, long = predict(candidate, {"trip_distance": 1.0}, {"trip_distance": 8.0})
    assert short + 3 < long


@pytest.mark.parametrize("candidate", LEARNERS)
def test_a_candidate_beats_the_baseline_even_on_few_rows(candidate: str) -> None:
    train, validation = TAXI.split(rows("taxi"), "2024-02-01", 42)
    scores = [
        search.compete(TAXI, TAXI.candidate(name), train, validation, trials=1, seed=42)[1].scores.overall
        for name in ("baseline", candidate)
    ]
    assert scores[1].value < scores[0].value


def test_a_batch_is_answered_in_its_order() -> None:
    ready = endpoint("taxi", "ridge")
    some = documents(TAXI, rows("taxi").loc[rows("taxi")["trip_distance"] < 100].head(40))
    batch = [came["duration_minutes"] for came in answer_batch(ready, some)]
    alone = [answer(ready, trip)["duration_minutes"] for trip in some]
    assert batch == pytest.approx(alone, rel=0, abs=TAXI.parity)
    assert len(set(batch)) > 30
