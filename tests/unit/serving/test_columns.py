"""Many rows as columns are taken and refused just as the strict request model takes and refuses each row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from time import perf_counter
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    NaiveDatetime,
    ValidationError,
    field_validator,
    model_validator,
)

import usecases
from errors import UsageError
from serving import columns
from serving.contract import MAX_ERRORS


class Everything(BaseModel):
    """Each type of field that a request may have, with and without null."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    whole: int
    above: Annotated[int, Field(gt=0, lt=100)]
    maybe_whole: Annotated[int | None, Field(ge=-3, le=300)] = None
    number: Annotated[float, Field(gt=-1.5, le=1e6)]
    maybe_number: float | None = 2.5
    flag: bool
    maybe_flag: bool | None = None
    text: str
    short: Annotated[str | None, Field(max_length=3)] = "abc"
    word: Literal["a", "b"]
    digit: Literal[1, 2] | None = None
    even: Annotated[int, Field(multiple_of=2)] = 4
    moment: Annotated[NaiveDatetime, Field(ge=datetime(2000, 1, 1), lt=datetime(2030, 1, 1))]
    maybe_moment: NaiveDatetime | None = None


MODELS = {name: usecases.load(name).request for name in ("taxi", "titanic")} | {"everything": Everything}
GOOD: dict[str, Mapping[str, Any]] = {name: usecases.load(name).example for name in ("taxi", "titanic")} | {
    "everything": {
        "whole": -7,
        "above": 1,
        "number": 1,
        "flag": True,
        "text": "",
        "word": "b",
        "moment": "2024-02-29T23:59:59.999999",
    }
}
each = pytest.mark.parametrize("name", MODELS)

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 400),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(width=64),
    st.floats(-3, 130).map(lambda value: round(value, 1)),
    st.sampled_from([0.0, 1.0, 3.0, 1e308, -0.0, 100.0, 2**53 + 1]),
    st.text(max_size=5),
    st.sampled_from(["a", "b", "C", "Q", "male", "female", "1", "3.5", "NaN", "true", "null"]),
    st.datetimes(datetime(1999, 12, 31), datetime(2101, 1, 1)).map(lambda moment: moment.isoformat()),
    st.sampled_from(
        [
            "2024-01-01",
            "2024-01-01 10:00",
            "2024-01-01T10:00:00Z",
            "2024-01-01T10:00:00+02:00",
            "2024-01-01T10:00:00.123456789",
            "2009-01-01T00:00:00",
            "2100-01-01T00:00:00",
            "1700000000",
            "2024-13-01T00:00:00",
        ]
    ),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=1),
)
"""What a caller could send for a value in JSON."""


def objects(values: list[Any]) -> columns.Array:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def refused_rows(request: type[BaseModel], rows: list[dict[str, Any]]) -> set[tuple[int, str]]:
    refused = set()
    for number, row in enumerate(rows):
        try:
            request.model_validate_json(json.dumps(row))
        except ValidationError as error:
            refused |= {(number, str(problem["loc"][0])) for problem in error.errors()}
    return refused


def refused_columns(request: type[BaseModel], given: Mapping[str, columns.Array]) -> set[tuple[int, str]]:
    try:
        columns.check(columns.rules(request), given)
    except columns.InvalidColumns as error:
        return {(int(problem.field.split(".")[1]), problem.field.split(".")[2]) for problem in error.errors}
    return set()


def same(left: columns.Array, right: columns.Array) -> bool:
    if left.dtype != right.dtype:
        return False
    return bool(np.array_equal(left, right, equal_nan=left.dtype.kind in "fM"))


@each
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_rows_of_odd_values_are_refused_for_the_same_fields(name: str, data: st.DataObject) -> None:
    request = MODELS[name]
    odd = data.draw(
        st.lists(st.dictionaries(st.sampled_from(list(request.model_fields)), ODD), min_size=1, max_size=4)
    )
    blank = {
        field: info.get_default() for field, info in request.model_fields.items() if not info.is_required()
    }
    rows = [{**blank, **GOOD[name], **row} for row in odd]
    given_columns = {field: objects([row[field] for row in rows]) for field in request.model_fields}

    refused = refused_rows(request, rows)
    assert refused_columns(request, given_columns) == refused
    if not refused:
        rules = columns.rules(request)
        valid = [request.model_validate_json(json.dumps(row)) for row in rows]
        checked, expected = columns.check(rules, given_columns), columns.from_requests(rules, valid)
        assert list(checked) == list(expected) == list(request.model_fields)
        assert all(same(checked[field], expected[field]) for field in expected)


TYPES = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "?"]


@settings(max_examples=600, deadline=None)
@given(data=st.data(), dtype=st.sampled_from([*TYPES, "M8[D]", "M8[s]", "M8[ms]", "M8[us]", "M8[ns]"]))
def test_arrays_of_every_numeric_type_are_taken_and_refused_as_their_values_are(
    data: st.DataObject, dtype: str
) -> None:
    kind = np.dtype(dtype).kind
    name = data.draw(st.sampled_from(list(MODELS)))
    request = MODELS[name]
    # In JSON a moment is a text, so a field of texts would take it.
    fields = [rule.name for rule in columns.rules(request) if kind != "M" or rule.kind != "str"]
    field = data.draw(st.sampled_from(fields))
    if kind == "M":
        start, unit = np.datetime64("1970-01-01").astype(dtype), np.datetime_data(dtype)[0]
        days = data.draw(st.lists(st.integers(-40 * 365, 70 * 365), min_size=1, max_size=4))
        array = start + np.array(days, dtype="m8[D]").astype(f"m8[{unit}]")
        values = [str(value.astype("M8[us]")) for value in array]
    else:
        numbers = {
            "i": st.integers(
                -(2 ** (np.dtype(dtype).itemsize * 8 - 1)), 2 ** (np.dtype(dtype).itemsize * 8 - 1) - 1
            ),
            "u": st.integers(0, 2 ** (np.dtype(dtype).itemsize * 8) - 1),
            "f": st.floats(width=np.dtype(dtype).itemsize * 8),  # type: ignore[arg-type]
            "b": st.booleans(),
        }[kind]
        small = st.just(True) if kind == "b" else st.integers(0, 120)
        array = np.array(data.draw(st.lists(numbers | small, min_size=1, max_size=4)), dtype=dtype)
        values = array.tolist()
    mask = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)) | st.none())
    if mask is not None:
        array = np.ma.array(array, mask=mask)
        values = [None if gone else value for gone, value in zip(mask, values, strict=True)]
    if columns.rules(request)[list(request.model_fields).index(field)].nullable and kind == "f":
        # NaN is how an array of floats says null.
        values = [None if value is not None and np.isnan(value) else value for value in values]

    rows = [{**GOOD[name], field: value} for value in values]
    whole = {key: objects([value] * len(rows)) for key, value in GOOD[name].items()} | {field: array}
    refused = {row for row, _ in refused_rows(request, rows)} | {
        row
        for row, value in enumerate(values)
        if field == "whole" and isinstance(value, int) and value >= 2**63
    }
    try:
        checked = columns.check(columns.rules(request), whole)
    except columns.InvalidColumns as error:
        blamed = {problem.field for problem in error.errors}
        if blamed == {field}:  # a column of a type whose values are all refused
            assert refused or all(value is None for value in values)
            assert refused >= {row for row, value in enumerate(values) if value is not None}
        else:
            assert blamed == {f"rows.{row}.{field}" for row in refused}
    else:
        assert not refused
        valid = [request.model_validate_json(json.dumps(row)) for row in rows]
        assert same(checked[field], columns.from_requests(columns.rules(request), valid)[field])


def refusal(name: str, **given_columns: Any) -> list[tuple[str, str, Any]]:
    rows = len(next(iter(given_columns.values()))) if given_columns else 1
    base = {key: objects([value] * rows) for key, value in GOOD[name].items()}
    with pytest.raises(columns.InvalidColumns) as refused:
        columns.check(columns.rules(MODELS[name]), base | given_columns)
    return [(error.field, error.message, error.value) for error in refused.value.errors]


def test_a_refused_value_is_named_by_row_and_field_in_the_models_words() -> None:
    assert refusal(
        "taxi", trip_distance=np.array([1, np.nan, 101.0]), PULocationID=np.array([1, 2, 266])
    ) == [
        ("rows.2.PULocationID", "Input should be less than or equal to 265", 266),
        ("rows.1.trip_distance", "Input should be a finite number", "nan"),
        ("rows.2.trip_distance", "Input should be less than or equal to 100", 101.0),
    ]
    assert refusal("titanic", Sex=objects(["male", "other"])) == [
        ("rows.1.Sex", "Input should be 'female' or 'male'", "other")
    ]


def test_a_column_of_the_wrong_type_is_one_error() -> None:
    assert refusal("taxi", PULocationID=np.array([1.0, 2.0])) == [
        ("PULocationID", "Input should be a column of whole numbers", "a column of float64")
    ]


def test_an_unknown_a_missing_and_a_shorter_column_are_refused() -> None:
    assert refusal("taxi", tip=np.array([1])) == [("tip", "Extra inputs are not permitted", None)]
    given_columns = {"Pclass": np.array([1, 2])}
    with pytest.raises(columns.InvalidColumns, match="Sex: Field required"):
        columns.check(columns.rules(MODELS["titanic"]), given_columns)
    with pytest.raises(columns.InvalidColumns, match=r"shape \(1,\), Pclass has \(2,\)"):
        columns.check(columns.rules(MODELS["titanic"]), {**given_columns, "Sex": objects(["male"])})
    with pytest.raises(columns.InvalidColumns, match="At least one row"):
        columns.check(
            columns.rules(MODELS["titanic"]), {"Pclass": np.array([], dtype=int), "Sex": objects([])}
        )


def test_a_column_that_was_left_out_holds_the_fields_default() -> None:
    checked = columns.check(
        columns.rules(MODELS["titanic"]), {"Pclass": np.array([1, 2]), "Sex": objects(["male", "female"])}
    )
    assert checked["SibSp"].tolist() == [0, 0]
    assert np.isnan(checked["Age"]).all()
    assert checked["Embarked"].tolist() == [None, None]


def test_a_body_full_of_mistakes_is_answered_with_its_first_ones() -> None:
    many = refusal("taxi", PULocationID=np.full(100_000, 0), trip_distance=objects(["far"] * 100_000))
    assert [field for field, _, _ in many] == [f"rows.{row}.PULocationID" for row in range(MAX_ERRORS)]


def test_numbers_that_no_64_bits_hold_are_refused() -> None:
    at_most = "Input should be a whole number that 64 bits hold"
    assert refusal("everything", whole=np.array([1, 2**64 - 1], dtype="u8")) == [
        ("rows.1.whole", at_most, "18446744073709551615")
    ]
    assert refusal("everything", whole=objects([1, 10**30])) == [("rows.1.whole", at_most, str(10**30))]


def test_moments_beyond_the_calendar_are_refused_and_never_wrapped_around() -> None:
    far = np.array([2**60, 0], dtype="M8[s]")
    assert [field for field, _, _ in refusal("everything", maybe_moment=far)] == ["rows.0.maybe_moment"]


def test_models_that_columns_cannot_check_are_told_so() -> None:
    class Pair(BaseModel):
        low: int
        high: int

        @model_validator(mode="after")
        def ordered(self) -> Pair:
            return self

    class Zoned(BaseModel):
        at: AwareDatetime

    class Nested(BaseModel):
        inner: list[int]

    for model, said in ((Pair, "several fields"), (Zoned, "Zoned.at"), (Nested, "Nested.inner")):
        with pytest.raises(UsageError, match=said):
            columns.rules(model)


def test_a_fields_own_validator_is_kept() -> None:
    class Odd(BaseModel):
        model_config = ConfigDict(strict=True)
        number: int

        @field_validator("number")
        @classmethod
        def odd(cls, value: int) -> int:
            assert value % 2, "odd, please"
            return value

    checked = columns.check(columns.rules(Odd), {"number": np.array([1, 3], dtype="i2")})
    assert checked["number"].tolist() == [1, 3]
    with pytest.raises(columns.InvalidColumns, match=r"rows\.1\.number: Assertion failed, odd, please"):
        columns.check(columns.rules(Odd), {"number": np.array([1, 4])})


def test_a_million_trips_are_checked_in_a_blink() -> None:
    rows = 1_000_000
    random = np.random.default_rng(7)
    trips = {
        "PULocationID": random.integers(1, 266, rows).astype("i2"),
        "DOLocationID": random.integers(1, 266, rows),
        "lpep_pickup_datetime": np.datetime64("2024-01-01", "us") + random.integers(0, 10**12, rows),
        "trip_distance": random.random(rows) * 100,
        "passenger_count": np.ma.array(random.integers(0, 10, rows), mask=random.random(rows) < 0.1),
    }
    rules = columns.rules(MODELS["taxi"])
    took = []
    for _ in range(5):
        start = perf_counter()
        columns.check(rules, trips)
        took.append(perf_counter() - start)
    assert min(took) < 0.1
