"""What holds for every use case, whatever it predicts: the promises that the rest of the house builds on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import usecases
from errors import UsageError
from serving import contract, inference_protocol, model
from serving.compile import check_parity
from serving.endpoint import Endpoint
from tests.problems import (
    CANDIDATES,
    NAMES,
    REQUESTS,
    STEADY,
    answer,
    answerable,
    bits,
    documents,
    endpoint,
    fast,
    fitted,
    rows,
    valid,
)
from training import data, search
from usecases.arithmetic import ONE
from usecases.taxi.contract import TripResponse

each = pytest.mark.parametrize("name", NAMES)
each_candidate = pytest.mark.parametrize(("name", "candidate"), CANDIDATES)


def test_both_use_cases_are_found_by_their_folders() -> None:
    assert {"taxi", "titanic"} <= set(NAMES)


def test_a_use_case_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(UsageError, match=r"no use case 'taxy'; there are: .*taxi"):
        usecases.load("taxy")


@each
def test_the_folder_and_the_use_case_have_the_same_name(name: str) -> None:
    assert usecases.load(name).name == name


@each
def test_the_default_source_works_offline_and_keeps_the_schema(name: str, tmp_path: Path) -> None:
    case = usecases.load(name)
    raw = case.read(case.locate(next(iter(case.sources)), None, tmp_path))
    data.validate(case, raw)
    assert not list(tmp_path.iterdir())


@each
def test_the_first_candidate_is_the_baseline(name: str) -> None:
    assert usecases.load(name).candidates[0].name == "baseline"


@each
def test_the_example_is_a_valid_request_and_the_request_model_is_strict(name: str) -> None:
    contract.check(usecases.contract_of(name))


@each
def test_the_request_holds_columns_of_the_data_and_not_the_target(name: str) -> None:
    case = usecases.load(name)
    assert set(case.request_columns) <= set(rows(name).columns) - {case.target}


@each
def test_cleaning_accounts_for_every_row_and_does_not_change_its_input(name: str, tmp_path: Path) -> None:
    case = usecases.load(name)
    raw = case.read(case.locate(next(iter(case.sources)), None, tmp_path))
    before = raw.copy(deep=True)
    kept, dropped = case.clean(raw)
    pd.testing.assert_frame_equal(raw, before)
    assert len(kept) + sum(dropped.values()) == len(raw)
    assert kept[case.target].notna().all()


@each
@pytest.mark.parametrize("size", [1, 100, 5_000])
def test_cleaning_judges_each_row_by_itself(name: str, size: int, tmp_path: Path) -> None:
    case = usecases.load(name)
    raw = case.read(case.locate(next(iter(case.sources)), None, tmp_path)).head(100 * size)
    whole = case.clean(raw)
    parts = [case.clean(raw.iloc[start : start + size]) for start in range(0, len(raw), size)]
    together = pd.concat([part.frame for part in parts], ignore_index=True)
    pd.testing.assert_frame_equal(together, whole.frame, check_exact=True)
    assert all(part.frame.index.equals(pd.RangeIndex(len(part.frame))) for part in parts)
    assert whole.dropped == {reason: sum(part.dropped[reason] for part in parts) for reason in whole.dropped}
    assert all(part.dropped.keys() == whole.dropped.keys() for part in parts)


@each
def test_training_and_validation_rows_are_all_rows_once_and_the_same_each_time(name: str) -> None:
    case = usecases.load(name)
    numbered = rows(name).assign(number=range(len(rows(name))))
    train, validation = data.split(case, numbered, case.default_cutoff, 42)
    assert sorted([*train["number"], *validation["number"]]) == list(range(len(numbered)))
    pd.testing.assert_frame_equal(train, case.split(numbered, case.default_cutoff, 42).train)


@each
def test_features_do_not_change_the_rows_they_read(name: str) -> None:
    before = rows(name).copy(deep=True)
    usecases.load(name).features(rows(name))
    pd.testing.assert_frame_equal(rows(name), before)


@each
def test_features_read_nothing_but_what_a_request_holds(name: str) -> None:
    case = usecases.load(name)
    assert bits(case.features(rows(name)[case.request_columns])) == bits(case.features(rows(name)))


@each
def test_a_row_of_the_data_and_the_same_row_as_a_request_have_the_same_features(name: str) -> None:
    case = usecases.load(name)
    some = answerable(case, rows(name).head(300))
    requests = case.request_frame(valid(case, documents(case, some)))
    assert bits(case.features(requests)) == bits(case.features(some))


@pytest.mark.parametrize("name", REQUESTS)
@given(drawn=st.data())
@settings(STEADY, max_examples=60)
def test_a_request_has_the_same_features_alone_and_in_a_batch(name: str, drawn: st.DataObject) -> None:
    case = usecases.load(name)
    requests = valid(case, drawn.draw(st.lists(REQUESTS[name], min_size=1, max_size=12)))
    batch = case.features(case.request_frame(requests))
    for position, request in enumerate(requests):
        alone = case.features(case.request_frame([request]))
        assert bits(alone) == bits(batch.iloc[[position]])


@pytest.mark.parametrize("name", REQUESTS)
@given(drawn=st.data())
@settings(STEADY, max_examples=100)
def test_a_request_has_the_same_features_by_single_values_as_by_columns(
    name: str, drawn: st.DataObject
) -> None:
    case = usecases.load(name)
    (request,) = valid(case, [drawn.draw(REQUESTS[name])])
    alone = case.encode(ONE, request.__dict__, {})
    (row,) = case.features(case.request_frame([request])).to_numpy(dtype=np.float64)
    assert np.array(alone, dtype=np.float64).tobytes() == row.tobytes()


@pytest.mark.parametrize(("name", "candidate"), [pair for pair in CANDIDATES if pair[0] in REQUESTS])
@given(drawn=st.data())
@settings(STEADY, max_examples=30)
def test_a_compiled_model_sees_the_same_bits_and_predicts_within_the_bound(
    name: str, candidate: str, drawn: st.DataObject
) -> None:
    case, quick = usecases.load(name), fast(name, candidate)
    requests = valid(case, drawn.draw(st.lists(REQUESTS[name], min_size=1, max_size=6)))
    frame = case.request_frame(requests)
    estimator = model.predict(case, fitted(name, candidate), frame)
    ready = endpoint(name, candidate)
    many = ready.predict_many(requests)
    alone = [quick.predict(request) for request in requests]
    tensors = by_tensors(ready, requests)
    assert many == pytest.approx(estimator, rel=0, abs=case.parity)
    assert alone == pytest.approx(many, rel=0, abs=case.parity)
    assert tensors == [number_in(case.respond(value).model_dump()) for value in many.tolist()]


def by_tensors(ready: Endpoint, requests: Sequence[BaseModel]) -> list[float]:
    """What the Open Inference Protocol answers to the same requests."""
    values = [request.model_dump(mode="json") for request in requests]
    inputs = [
        {
            "name": tensor["name"],
            "datatype": tensor["datatype"],
            "shape": [len(values)],
            "data": [row[tensor["name"]] for row in values],
        }
        for tensor in inference_protocol.model_metadata(ready)["inputs"]
    ]
    body, _ = inference_protocol.infer(ready, ready.rules, json.dumps({"inputs": inputs}).encode(), {})
    (numbers,) = [out["data"] for out in json.loads(body)["outputs"] if out["datatype"] == "FP64"]
    return list(numbers)


def number_in(answer: dict[str, Any]) -> float:
    (number,) = [value for value in answer.values() if isinstance(value, float)]
    return number


@each_candidate
def test_a_compiled_model_predicts_what_its_estimator_does_on_all_rows(name: str, candidate: str) -> None:
    case = usecases.load(name)
    off = check_parity(case, fast(name, candidate), fitted(name, candidate), rows(name))
    assert off <= case.parity


@pytest.mark.parametrize(("name", "candidate"), [pair for pair in CANDIDATES if pair[0] in REQUESTS])
@given(drawn=st.data())
@settings(STEADY, max_examples=15)
def test_a_request_gets_the_same_answer_alone_and_in_a_batch(
    name: str, candidate: str, drawn: st.DataObject
) -> None:
    case, fit = usecases.load(name), fitted(name, candidate)
    requests = valid(case, drawn.draw(st.lists(REQUESTS[name], min_size=1, max_size=6)))
    batch = model.predict(case, fit, case.request_frame(requests))
    alone = [model.predict(case, fit, case.request_frame([request])) for request in requests]
    assert np.isfinite(batch).all()
    assert np.concatenate(alone).tobytes() == batch.tobytes()


@each_candidate
@pytest.mark.parametrize("size", [1, 3, 8, 15, 16, 17, 100])
def test_predictions_do_not_depend_on_the_size_of_the_batch(name: str, candidate: str, size: int) -> None:
    case, fit = usecases.load(name), fitted(name, candidate)
    some = rows(name).head(100)
    together = model.predict(case, fit, some)
    parts = [model.predict(case, fit, some.iloc[at : at + size]) for at in range(0, 100, size)]
    assert np.concatenate(parts).tobytes() == together.tobytes()


@each_candidate
def test_the_same_seed_gives_the_same_bits(name: str, candidate: str) -> None:
    case, chosen = usecases.load(name), usecases.load(name).candidate(candidate)
    few = rows(name).iloc[::4]
    first, second = (search.fit(case, chosen, chosen.defaults, few, seed=7) for _ in range(2))
    some = rows(name).head(200)
    assert case.predict(first, some).tobytes() == case.predict(second, some).tobytes()


@each_candidate
def test_the_order_of_columns_in_a_request_means_nothing(name: str, candidate: str) -> None:
    case = usecases.load(name)
    (document,) = documents(case, answerable(case, rows(name).head(9)).head(1))
    ready = endpoint(name, candidate)
    assert answer(ready, document) == answer(ready, dict(reversed(document.items())))


@each_candidate
def test_a_search_space_draws_parameters_that_the_candidate_takes_as_they_are(
    name: str, candidate: str
) -> None:
    chosen = usecases.load(name).candidate(candidate)
    trials = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20 if chosen.space else 0):
        drawn = dict(chosen.defaults) | chosen.space(trials.ask())
        built = chosen.build(drawn, 0).get_params()
        for parameter, value in drawn.items():
            taken = [got for path, got in built.items() if path.split("__")[-1] == parameter]
            assert value in taken, f"{parameter} was lost on the way"
            # A whole number that comes as a float is refused by scikit-learn.
            default = chosen.defaults[parameter]
            assert isinstance(value, type(default))


@each
def test_slices_label_every_row(name: str) -> None:
    case = usecases.load(name)
    train, validation = data.split(case, rows(name), case.default_cutoff, 42)
    for label in case.slices.values():
        labels = label(validation, train)
        assert labels.index.equals(validation.index)
        assert labels.notna().all()


@each
def test_the_prediction_can_be_read_back_from_a_response(name: str) -> None:
    case = usecases.load(name)
    for value in (0.0, 0.3, 0.5, 1.0):
        response = json.loads(case.respond(value).model_dump_json())
        assert response[case.contract.prediction_field] == value


def test_a_response_without_the_prediction_is_refused_where_it_would_be_read() -> None:
    rounded = replace(usecases.load("taxi").contract, respond=lambda _: TripResponse(duration_minutes=1.0))
    with pytest.raises(UsageError, match="One field of TripResponse must hold the prediction"):
        rounded.prediction_field  # noqa: B018 - asking is the test


@each_candidate
def test_a_response_holds_the_prediction(name: str, candidate: str) -> None:
    case = usecases.load(name)
    requests = valid(case, [dict(case.example)])
    (value,) = model.predict(case, fitted(name, candidate), case.request_frame(requests)).tolist()
    came = answer(endpoint(name, candidate), dict(case.example))
    expected = {**case.respond(value).model_dump(), "model_version": 7}
    assert came == pytest.approx(expected, abs=case.parity)
