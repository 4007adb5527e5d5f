"""An explanation says how far each field alone moves the answer from where a typical value would put it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

import pandas as pd
import pytest
from pydantic import BaseModel

import usecases
from serving.explain import Explanation, Typical, explain, typical
from tests import toy
from tests.problems import documents, fitted, rows, valid
from training.profile import profile

each = pytest.mark.parametrize("name", ["taxi", "titanic"])


@cache
def reference(name: str) -> dict[str, Any]:
    """The profile of a use case's own rows, through JSON as in a Bento."""
    case = usecases.load(name)
    model = fitted(name, case.candidates[0].name)
    columns = rows(name)[case.request_columns]
    found: dict[str, Any] = json.loads(json.dumps(profile(columns, case.predict(model, columns))))
    return found


def predictor(name: str) -> Any:
    case = usecases.load(name)
    model = fitted(name, case.candidates[0].name)
    return lambda requests: case.predict(model, case.request_frame(requests)).tolist()


def twice(requests: Sequence[Any]) -> list[float]:
    """The toy's truth: y = 2·x, whatever the colour."""
    return [2 * request.x for request in requests]


def toy_explanation(x: float, colour: str = "blue") -> Explanation[Any]:
    known = typical(toy.CONTRACT, profile(pd.DataFrame({"x": range(101), "colour": "red"}), pd.Series([8.0])))
    return explain(toy.CONTRACT, known, twice, toy.Request.model_validate({"x": x, "colour": colour}))


def effects(explanation: Explanation[Any]) -> dict[str, float]:
    return {effect.field: effect.effect for effect in explanation.effects}


def test_an_effect_is_what_the_answer_loses_when_the_field_becomes_typical() -> None:
    explanation = toy_explanation(x=60)
    assert effects(explanation) == {"x": 20.0, "colour": 0.0}  # 2·60 − 2·50
    assert explanation.prediction == toy.Response(y=120)
    assert explanation.typical_prediction == 8.0


def test_what_lowers_the_answer_has_an_effect_below_zero() -> None:
    assert effects(toy_explanation(x=10))["x"] == -80.0


def test_a_field_that_the_model_ignores_has_no_effect_at_all() -> None:
    assert effects(toy_explanation(x=60, colour="blue"))["colour"] == 0.0


def test_a_field_at_its_typical_value_has_no_effect() -> None:
    assert effects(toy_explanation(x=50))["x"] == 0.0


def test_the_largest_effect_comes_first_whatever_its_sign() -> None:
    class Request(BaseModel):
        small: float
        none: float
        down: float

    case = replace(toy.CONTRACT, request=Request, example={"small": 0.0, "none": 0.0, "down": 0.0})
    known = Typical({"small": 0.0, "none": 0.0, "down": 0.0}, None)
    explanation = explain(
        case,
        known,
        lambda requests: [one.small - 5 * one.down for one in requests],
        Request(small=1, none=1, down=1),
    )
    assert [effect.field for effect in explanation.effects] == ["down", "small", "none"]


@each
def test_the_model_is_called_once_with_the_request_and_one_change_in_each_other_row(name: str) -> None:
    case = usecases.load(name)
    calls: list[list[BaseModel]] = []

    def predict_many(requests: Sequence[BaseModel]) -> list[float]:
        calls.append(list(requests))
        return [0.5] * len(requests)

    (request,) = valid(case, [case.example])
    explain(case, typical(case, reference(name)), predict_many, request)
    ((first, *others),) = calls
    assert first == request
    changed = [
        {field for field in case.request_columns if getattr(other, field) != getattr(request, field)}
        for other in others
    ]
    known = typical(case, reference(name)).values
    assert changed == [
        {field} if getattr(request, field) != known[field] else set() for field in case.request_columns
    ]


@each
def test_every_field_has_a_typical_value_that_an_endpoint_takes(name: str) -> None:
    case = usecases.load(name)
    values = typical(case, reference(name)).values
    assert list(values) == case.request_columns
    whole = case.request.model_validate(dict(values))
    assert case.request.model_validate_json(whole.model_dump_json()) == whole


def test_typical_values_are_medians_or_what_was_most_frequent() -> None:
    values = typical(usecases.load("titanic"), reference("titanic")).values
    passengers = rows("titanic")
    assert values["Age"] == passengers["Age"].median()
    assert values["Pclass"] == passengers["Pclass"].mode()[0] == 3
    assert values["Sex"] == passengers["Sex"].mode()[0] == "male"
    trips = typical(usecases.load("taxi"), reference("taxi")).values
    assert trips["passenger_count"] == rows("taxi")["passenger_count"].mode()[0]
    assert type(trips["passenger_count"]) is type(trips["PULocationID"]) is int
    middle = rows("taxi")["lpep_pickup_datetime"].median()
    assert isinstance(trips["lpep_pickup_datetime"], datetime)
    assert abs((trips["lpep_pickup_datetime"] - middle).total_seconds()) <= 1


@each
def test_effects_are_differences_of_the_fitted_models_own_predictions(name: str) -> None:
    case = usecases.load(name)
    known = typical(case, reference(name))
    predict_many = predictor(name)
    (request,) = valid(case, documents(case, rows(name).iloc[[1]]))
    found = effects(explain(case, known, predict_many, request))
    (prediction,) = predict_many([request])
    for field, value in known.values.items():
        (other,) = predict_many([request.model_copy(update={field: value})])
        assert found[field] == pytest.approx(prediction - other, abs=1e-12)
    assert any(found.values())


def test_a_field_that_was_mostly_empty_is_typically_null() -> None:
    case = usecases.load("titanic")
    mostly = rows("titanic").assign(Age=None, Embarked=None)[case.request_columns].astype({"Age": float})
    values = typical(case, profile(mostly, pd.Series([0.5]))).values
    assert values["Age"] is None
    assert values["Embarked"] is None


def test_a_typical_value_that_no_request_may_have_is_passed_over() -> None:
    case = usecases.load("taxi")
    trips = rows("taxi")[case.request_columns].head(3)
    strange = trips.assign(VendorID=[99, 99, 1], trip_distance=[-1.0, -1.0, -1.0])
    values = typical(case, profile(strange, pd.Series([1.0]))).values
    assert values["VendorID"] == 1
    assert "trip_distance" not in values


def test_a_profile_without_columns_leaves_a_prediction_without_reasons() -> None:
    case = usecases.load("titanic")
    (request,) = valid(case, [case.example])
    explanation = explain(case, typical(case, {"rows": 3}), predictor("titanic"), request)
    assert explanation.effects == []
    assert explanation.typical_prediction is None
    assert 0 < explanation.prediction.probability < 1


def test_an_explanation_is_json_with_the_responses_own_fields() -> None:
    case = usecases.load("taxi")
    (request,) = valid(case, [case.example])
    explanation = explain(case, typical(case, reference("taxi")), predictor("taxi"), request)
    document = json.loads(explanation.model_dump_json())
    assert document["prediction"].keys() == {"duration_minutes"}
    (pickup,) = [one for one in document["effects"] if one["field"] == "lpep_pickup_datetime"]
    assert pickup["value"] == case.example["lpep_pickup_datetime"]
    schema = Explanation[type(explanation.prediction)].model_json_schema(mode="serialization")
    assert schema["properties"]["prediction"]["$ref"].endswith("/TripResponse")
