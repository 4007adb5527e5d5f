"""Whatever is sent, an endpoint answers with a prediction or a 4xx that says what is wrong, never a 5xx."""

from __future__ import annotations

import asyncio
import json
import math
from functools import cache
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ConfigDict, ValidationError

import usecases
from errors import UsageError
from serving import contract
from serving.contract import MAX_BODY_BYTES, MAX_ERRORS, MAX_ROWS
from serving.http.front import front
from serving.worker import Surroundings, Worker
from tests import toy
from tests.problems import REQUESTS, STEADY, endpoint, valid

NAMES = ["taxi", "titanic"]
EXAMPLES = {name: dict(usecases.load(name).example) for name in NAMES}
each = pytest.mark.parametrize("name", NAMES)


@cache
def app(name: str) -> Any:
    alone = Surroundings(state=None, keys=None, database=None)
    worker = Worker(endpoint(name, "ridge" if name == "taxi" else "logistic"), alone)
    return front(nothing_else, lambda: worker)


async def nothing_else(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError(f"BentoML was asked for {scope['path']}")


def send(
    name: str,
    path: str,
    body: bytes | str,
    content_type: str | None = "application/json",
    method: str = "POST",
) -> httpx.Response:
    """The answer of the application itself; an exception in it fails the test with its traceback."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app(name))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://endpoint", trust_env=False
        ) as client:
            headers = {"content-type": content_type} if content_type else {}
            return await client.request(method, path, content=body, headers=headers)

    return asyncio.run(ask())


def refusal(answer: httpx.Response) -> dict[str, Any]:
    """The body of a 4xx: a problem with the reason and the fields to blame."""
    assert 400 <= answer.status_code < 500, answer.text[:500]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["model-version"] == "7"
    body = answer.json()
    assert body["detail"]
    assert all(error["message"] for error in body["errors"])
    assert set(body) == {"type", "title", "status", "detail", "errors"}
    assert body["status"] == answer.status_code
    return dict(body)


def blamed(answer: httpx.Response) -> set[str]:
    return {field["field"] for field in refusal(answer)["errors"]}


NOT_NUMBERS: list[Any] = [
    "3",
    "",
    "NaN",
    True,
    False,
    [],
    [1],
    {},
    {"value": 1},
    math.nan,
    math.inf,
    -math.inf,
]
WRONG: list[tuple[str, str, Any]] = [
    *[("taxi", zone, value) for zone in ("PULocationID", "DOLocationID") for value in NOT_NUMBERS],
    *[
        ("taxi", zone, bad)
        for zone in ("PULocationID", "DOLocationID")
        for bad in (0, 266, -1, 74.5, None, 10**30)
    ],
    *[("taxi", "trip_distance", value) for value in (*NOT_NUMBERS, -0.1, -1, 100.1, 201_421.68, 1e308, None)],
    *[("taxi", "passenger_count", value) for value in (-1, 10, 1.5, "1", True, math.nan)],
    *[("taxi", "trip_type", value) for value in (0, 3, "1", False)],
    *[("taxi", "VendorID", value) for value in (0, 7, "2", 1e999)],
    *[
        ("taxi", "lpep_pickup_datetime", value)
        for value in (
            *("", "now", "8:30", "2024-02-30T08:30:00", "2024-02-14T25:00:00", "1707899400", "2024-02-14"),
            *(
                "2024-02-14T08:30:00Z",
                "2024-02-14T08:30:00-05:00",
                "2008-12-31T23:59:59",
                "9999-12-31T00:00:00",
            ),
            *(1707899400, 1707899400.5, True, None, [], {}, math.nan, "x" * 100_000),
        )
    ],
    *[("titanic", "Pclass", value) for value in (0, 4, 1.5, "1", True, None, math.nan)],
    *[("titanic", "Sex", value) for value in ("Female", "", "f" * 100_000, 1, None, [])],
    *[("titanic", "Age", value) for value in (-1, 121, "31", True, math.nan, math.inf)],
    *[("titanic", "Fare", value) for value in (-0.01, 1e6, "26", math.inf)],
    *[("titanic", "SibSp", value) for value in (-1, 21, 0.5, None, "0")],
    *[("titanic", "Embarked", value) for value in ("X", "s", "", 1)],
    *[
        (name, field, 1)
        for name in NAMES
        for field in ("unknown", "duration", "", "a.b", "ключ", "__class__")
    ],
]


@pytest.mark.parametrize(("name", "field", "value"), WRONG, ids=lambda value: repr(value)[:30])
def test_a_wrong_value_is_refused_with_its_field_alone_and_in_a_batch(
    name: str, field: str, value: Any
) -> None:
    good = EXAMPLES[name]
    body = json.dumps(good | {field: value})
    with pytest.raises(ValidationError):
        usecases.load(name).request.model_validate_json(body)
    alone = send(name, "/predict", body)
    assert alone.status_code == 422
    assert blamed(alone) == {field}
    batch = send(name, "/predict_batch", json.dumps({"rows": [good, good, good | {field: value}]}))
    assert batch.status_code == 422
    assert blamed(batch) == {f"rows.2.{field}"}


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 400])
@pytest.mark.parametrize("field", ["trip_distance", "PULocationID", "passenger_count"])
def test_numbers_that_are_none_are_refused_as_literals_too(field: str, literal: str) -> None:
    body = json.dumps(EXAMPLES["taxi"] | {field: "HERE"}).replace('"HERE"', literal)
    assert blamed(send("taxi", "/predict", body)) == {field}


@each
def test_a_missing_field_is_named(name: str) -> None:
    required = [key for key, field in usecases.load(name).request.model_fields.items() if field.is_required()]
    for field in required:
        body = {key: value for key, value in EXAMPLES[name].items() if key != field}
        assert blamed(send(name, "/predict", json.dumps(body))) == {field}
    assert blamed(send(name, "/predict", "{}")) == set(required)


@each
@pytest.mark.parametrize("path", ["/predict", "/predict_batch"])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"  \n", 400),
        (b"nonsense", 400),
        (b"{", 400),
        (b'{"a": 1,}', 400),
        (b"\xff\xfe", 400),
        (b'{"a": "\xff"}', 400),
        (b'{"a": "\\ud800"}', 400),
        (b"\x00", 400),
        (b"[" * 100_000, 400),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, 400),
        (b"1" * 5_000, 400),
        (b"null", 422),
        (b"true", 422),
        (b"3.1", 422),
        (b'"text"', 422),
        (b"[]", 422),
        (b"[{}]", 422),
        (b"x" * (MAX_BODY_BYTES + 1), 413),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_body_that_is_no_request_is_refused(name: str, path: str, body: bytes, status: int) -> None:
    answer = send(name, path, body)
    assert refusal(answer)["detail"]
    assert answer.status_code == status
    assert len(answer.content) < 1_000


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "json", "x" * 9_000]
)
def test_a_body_that_is_not_declared_as_json_is_refused(content_type: str | None) -> None:
    answer = send("taxi", "/predict", json.dumps(EXAMPLES["taxi"]), content_type)
    assert answer.status_code == 415
    assert "application/json" in refusal(answer)["detail"]
    assert len(answer.content) < 1_000


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON", "application/json; charset=utf-8"]
)
def test_json_is_taken_however_it_is_declared(content_type: str) -> None:
    assert send("taxi", "/predict", json.dumps(EXAMPLES["taxi"]), content_type).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/predict", 405), ("PUT", "/predict", 405), ("POST", "/no", 404)]
)
def test_a_wrong_method_or_path_is_answered_with_json_too(method: str, path: str, status: int) -> None:
    answer = send("taxi", path, b"{}", method=method)
    assert refusal(answer)["errors"] == []
    assert answer.status_code == status


@each
def test_the_example_is_answered_with_the_model_version(name: str) -> None:
    answer = send(name, "/predict", json.dumps(EXAMPLES[name]))
    assert answer.status_code == 200
    assert answer.headers["model-version"] == "7"
    assert answer.json()["model_version"] == 7


@each
def test_a_batch_may_hold_so_many_rows_and_no_more(name: str) -> None:
    full = send(name, "/predict_batch", json.dumps({"rows": [EXAMPLES[name]] * MAX_ROWS}))
    assert len(full.json()["predictions"]) == MAX_ROWS
    for count in (0, MAX_ROWS + 1):
        body = json.dumps({"rows": [EXAMPLES[name]] * count})
        assert blamed(send(name, "/predict_batch", body)) == {"rows"}


@pytest.mark.parametrize("rows", [None, {}, "text", 3, [None], [[]], ["text"], [{}]])
def test_rows_of_a_batch_must_be_requests(rows: Any) -> None:
    assert all(
        field.startswith("rows")
        for field in blamed(send("taxi", "/predict_batch", json.dumps({"rows": rows})))
    )


def test_a_batch_takes_nothing_beside_its_rows() -> None:
    body = json.dumps({"rows": [EXAMPLES["taxi"]], "fast": True})
    assert blamed(send("taxi", "/predict_batch", body)) == {"fast"}


def test_trips_with_and_without_optional_fields_go_together_in_a_batch() -> None:
    trips = [EXAMPLES["taxi"] | {"passenger_count": count} for count in (None, 1, None)]
    answer = send("taxi", "/predict_batch", json.dumps({"rows": [EXAMPLES["taxi"], *trips]}))
    assert len(answer.json()["predictions"]) == 4


def test_a_refusal_of_very_many_mistakes_stays_short_and_counts_them() -> None:
    many = {f"k{number}": 1 for number in range(20_000)}
    answer = send("taxi", "/predict", json.dumps(EXAMPLES["taxi"] | many))
    body = refusal(answer)
    assert len(body["errors"]) == MAX_ERRORS
    assert "and at 19,990 more" in body["detail"]
    long = send("taxi", "/predict", json.dumps(EXAMPLES["taxi"] | {"k" * 1_000_000: "v" * 900_000}))
    assert len(long.content) < 1_000
    assert refusal(long)["errors"][0]["value"].startswith("vvv")


def test_the_published_schema_asks_for_a_time_without_a_zone() -> None:
    schema = usecases.load("taxi").request.model_json_schema()["properties"]["lpep_pickup_datetime"]
    assert schema["format"] == "date-time-local"


def test_a_refusal_repeats_what_came() -> None:
    (field,) = refusal(send("taxi", "/predict", json.dumps(EXAMPLES["taxi"] | {"trip_distance": -4.5})))[
        "errors"
    ]
    assert field == {
        "field": "trip_distance",
        "message": "Input should be greater than or equal to 0",
        "value": -4.5,
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@each
@given(drawn=st.data())
@settings(STEADY, max_examples=60)
def test_arbitrary_json_is_answered_with_200_or_4xx(name: str, drawn: st.DataObject) -> None:
    document = drawn.draw(JSON)
    for path, body in (
        ("/predict", document),
        ("/predict_batch", document),
        ("/predict_batch", {"rows": document}),
    ):
        answer = send(name, path, json.dumps(body))
        assert answer.status_code == 200 or refusal(answer)


@each
@given(drawn=st.data())
@settings(STEADY, max_examples=60)
def test_a_request_with_one_arbitrary_value_is_answered_with_200_or_its_field(
    name: str, drawn: st.DataObject
) -> None:
    request = drawn.draw(REQUESTS[name])
    field = drawn.draw(st.sampled_from([*usecases.load(name).request_columns, "another"]))
    answer = send(name, "/predict", json.dumps(request | {field: drawn.draw(JSON)}))
    assert answer.status_code == 200 or {path.split(".")[0] for path in blamed(answer)} == {field}


@each
@given(body=st.binary(max_size=200))
@settings(STEADY, max_examples=60)
def test_arbitrary_bytes_are_refused(name: str, body: bytes) -> None:
    refusal(send(name, "/predict", body))


@each
@given(drawn=st.data())
@settings(STEADY, max_examples=25)
def test_every_valid_request_is_answered_with_finite_numbers(name: str, drawn: st.DataObject) -> None:
    document = drawn.draw(REQUESTS[name])
    assert valid(usecases.load(name), [document])
    answer = send(name, "/predict", json.dumps(document))
    assert answer.status_code == 200
    assert all(math.isfinite(value) for value in answer.json().values())


def test_a_use_case_whose_request_model_is_lax_is_not_served() -> None:
    class Lax(toy.Request):
        model_config = ConfigDict(strict=False, extra="ignore")

    with pytest.raises(UsageError, match="takes unknown_field = 1, which an endpoint must refuse"):
        contract.check(toy.contract(request=Lax))
    with pytest.raises(UsageError, match="not a valid request"):
        contract.check(toy.contract(example={"x": "text"}))
