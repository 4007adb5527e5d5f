"""Inference requests of every form the protocol knows are answered, all others get its error."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, NaiveDatetime

import usecases
from serving import columns, inference_protocol
from serving.inference_protocol import Refused


@dataclass(frozen=True)
class Model:
    contract: Any
    version: int = 7

    def predict_columns(self, given: Mapping[str, columns.Array]) -> columns.Array:
        """The age, or the distance."""
        return np.asarray(given.get("Age", given.get("trip_distance")), dtype=float) / 100


class Answer(BaseModel):
    """Every type of output."""

    number: float
    count: int
    likely: bool
    word: str | None
    at: NaiveDatetime


def answer(value: float) -> Answer:
    word = None if np.isnan(value) else f"é{value}"
    return Answer(number=value, count=3, likely=value > 0.5, word=word, at=datetime(2024, 1, 1, 8))


TITANIC, TAXI = Model(usecases.load("titanic")), Model(usecases.load("taxi"))
RULES = {model.contract.name: columns.rules(model.contract.request) for model in (TITANIC, TAXI)}
EVERY = Model(SimpleNamespace(name="every", request=TITANIC.contract.request, respond=answer))


def tensor(name: str, datatype: str, data: list[Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "shape": [len(data)], "datatype": datatype, "data": data} | more


PASSENGERS = [
    tensor("Pclass", "INT64", [1, 3]),
    tensor("Sex", "BYTES", ["female", "male"]),
    tensor("Age", "FP64", [31.0, None]),
]


def infer(body: dict[str, Any] | bytes, model: Model = TITANIC, **headers: str) -> dict[str, Any]:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {key.replace("_", "-"): value for key, value in headers.items()}
    rules = columns.rules(model.contract.request)
    content, answered = inference_protocol.infer(model, rules, sent, names)
    assert answered == {"content-type": "application/json"}
    return dict(json.loads(content))


def refusal(body: dict[str, Any] | bytes, **headers: str) -> str:
    with pytest.raises(Refused) as refused:
        infer(body, **headers)
    assert refused.value.status == 400
    assert json.loads(refused.value.body) == {"error": str(refused.value)}
    return str(refused.value)


def test_optional_fields_may_be_null_or_left_out() -> None:
    assert infer({"id": "a-1", "inputs": PASSENGERS, "parameters": {"anything": 1}}) == {
        "model_name": "titanic",
        "model_version": "7",
        "id": "a-1",
        "outputs": [
            {"name": "survived", "datatype": "BOOL", "shape": [2], "data": [False, False]},
            {"name": "probability", "datatype": "FP64", "shape": [2], "data": [0.31, None]},
        ],
    }


def test_rows_may_be_nested() -> None:
    nested = [each | {"shape": [2, 1], "data": [[value] for value in each["data"]]} for each in PASSENGERS]
    assert infer({"inputs": nested}) == infer({"inputs": PASSENGERS})


def test_moments_are_texts_in_isos_form() -> None:
    trips = [
        tensor("PULocationID", "INT32", [74]),
        tensor("DOLocationID", "UINT16", [74]),
        tensor("lpep_pickup_datetime", "BYTES", ["2024-02-14T08:30:00"]),
        tensor("trip_distance", "FP32", [50]),
    ]
    assert infer({"inputs": trips}, TAXI)["outputs"][0]["data"] == [0.5]


def test_only_the_outputs_asked_for_are_answered_in_their_order() -> None:
    asked = [{"name": "probability"}, {"name": "survived", "parameters": {"binary_data": False}}]
    outputs = infer({"inputs": PASSENGERS, "outputs": asked})["outputs"]
    assert [output["name"] for output in outputs] == ["probability", "survived"]


def test_binary_tensors_in_and_out_of_every_type() -> None:
    words = b"".join(struct.pack("<I", len(word)) + word for word in (b"female", b"male"))
    tensors = {
        "Pclass": ("INT8", np.array([1, 3], "i1").tobytes()),
        "Sex": ("BYTES", words),
        "Age": ("FP32", np.array([62.5, np.nan], "<f4").tobytes()),
    }
    head = {
        "inputs": [
            {"name": name, "shape": [2], "datatype": kind, "parameters": {"binary_data_size": len(data)}}
            for name, (kind, data) in tensors.items()
        ],
        "parameters": {"binary_data_output": True},
    }
    sent = json.dumps(head).encode()
    body = sent + b"".join(data for _, data in tensors.values())
    length = {"inference-header-content-length": str(len(sent))}
    content, headers = inference_protocol.infer(EVERY, RULES["titanic"], body, length)
    size = int(headers["inference-header-content-length"])
    assert headers["content-type"] == "application/octet-stream"
    outputs, rest, parts = json.loads(content[:size])["outputs"], content[size:], {}
    for output in outputs:
        cut = output["parameters"]["binary_data_size"]
        parts[output["name"]], rest = rest[:cut], rest[cut:]
    assert rest == b""
    assert np.frombuffer(parts["number"]).tolist()[0] == 0.625
    assert np.frombuffer(parts["count"], "<i8").tolist() == [3, 3]
    assert parts["likely"] == b"\x01\x00"
    assert parts["word"] == struct.pack("<I", 7) + "é0.625".encode() + bytes(4)
    assert parts["at"] == (struct.pack("<I", 19) + b"2024-01-01T08:00:00") * 2


def test_metadata_names_the_fields_of_request_and_response() -> None:
    assert inference_protocol.model_metadata(TITANIC)["outputs"] == [
        {"name": "survived", "datatype": "BOOL", "shape": [-1]},
        {"name": "probability", "datatype": "FP64", "shape": [-1]},
    ]
    inputs = inference_protocol.model_metadata(TAXI)["inputs"]
    assert {each["name"]: each["datatype"] for each in inputs} == {
        "PULocationID": "INT64",
        "DOLocationID": "INT64",
        "lpep_pickup_datetime": "BYTES",
        "trip_distance": "FP64",
        "passenger_count": "INT64",
        "trip_type": "INT64",
        "VendorID": "INT64",
    }


@pytest.mark.parametrize(("name", "version"), [("taxi", None), ("titanic", "8"), ("titanic", "07")])
def test_another_model_or_version_is_not_found(name: str, version: str | None) -> None:
    inference_protocol.find(TITANIC, "titanic", None)
    inference_protocol.find(TITANIC, "titanic", "7")
    with pytest.raises(Refused, match="serves titanic, version 7, not") as refused:
        inference_protocol.find(TITANIC, name, version)
    assert refused.value.status == 404


def changed(**change: Any) -> dict[str, Any]:
    return {"inputs": [{**PASSENGERS[0], **change}, *PASSENGERS[1:]]}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "body: Invalid JSON"),
        (b"[]", "body: Input should be"),
        ({}, "inputs: Field required"),
        ({"inputs": []}, "Pclass: Field required; Sex: Field required"),
        ({"inputs": PASSENGERS, "id": 3}, "id: Input should be a valid string"),
        ({"inputs": [*PASSENGERS, PASSENGERS[0]]}, "'Pclass': it came before"),
        ({"inputs": PASSENGERS, "outputs": [{"name": "age"}]}, "no output 'age'; there are: survived, prob"),
        (changed(name="Class"), "'Class': there is no such input; there are: Pclass, Sex"),
        (changed(datatype="FP64"), "Pclass: INT64 was expected, 'FP64' came"),
        (changed(data=[1.0, 2.0]), "rows.0.Pclass: Input should be a valid integer"),
        (changed(data=[1, None]), "rows.1.Pclass: Input should be a valid integer"),
        (changed(data=[1, 4]), "rows.1.Pclass: Input should be less than or equal to 3"),
        (changed(data=[1]), "Pclass: 2 values were expected, and 1 came"),
        (changed(shape=[2, 2]), "[n] or [n, 1] was expected"),
        (changed(shape=[-2]), "[n] or [n, 1] was expected"),
        (changed(shape=[]), "[n] or [n, 1] was expected"),
        (changed(shape=[20_000]), "n from 1 to 10,000, and [20000] came"),
        (changed(data=None), "either data or binary_data_size"),
        (
            changed(data=None, parameters={"binary_data_size": 16}),
            "the body ends before binary_data_size, 16",
        ),
        (
            changed(data=None, parameters={"binary_data_size": -1}),
            "the body ends before binary_data_size, -1",
        ),
    ],
)
def test_what_is_no_inference_request_is_told(body: Any, said: str) -> None:
    assert said in refusal(body)


def test_binary_parts_that_do_not_fit_are_told() -> None:
    def sent(datatype: str, data: bytes, more: bytes = b"", name: str = "Pclass") -> str:
        others = [each for each in PASSENGERS if each["name"] != name]
        size = {"binary_data_size": len(data)}
        one = {"name": name, "shape": [2], "datatype": datatype, "parameters": size}
        head = json.dumps({"inputs": [one, *others]}).encode()
        return refusal(head + data + more, inference_header_content_length=str(len(head)))

    assert "2 values of INT64 have 16 bytes, and 15 came" in sent("INT64", bytes(15))
    assert "3 bytes that belong to no input" in sent("INT64", bytes(16), b"abc")
    assert "a text in UTF-8" in sent("BYTES", b"\x01\0\0\0\xff", name="Sex")
    assert "a text in UTF-8" in sent("BYTES", b"\xff\xff\xff\xffa", name="Sex")
    assert "2 values were expected, and 1 came" in sent("BYTES", b"\x01\0\0\0a", name="Sex")
    for length in ("9" * 30, "-1", "²", ""):
        assert "should be the length of the JSON" in refusal(b"{}", inference_header_content_length=length)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@settings(max_examples=400, deadline=None)
@given(
    change=st.dictionaries(
        st.sampled_from(["name", "shape", "datatype", "data", "parameters"]), ANYTHING, max_size=2
    ),
    more=st.dictionaries(st.sampled_from(["id", "outputs", "parameters", "inputs"]), ANYTHING, max_size=1),
    data=st.lists(ANYTHING, min_size=2, max_size=2) | st.none(),
    rest=st.binary(max_size=20),
    binary=st.sampled_from(["INT64", "INT8", "UINT64", "FP16", "BYTES", "BOOL"]) | st.none(),
)
def test_whatever_is_sent_is_answered_or_refused(
    change: dict[str, Any],
    more: dict[str, Any],
    data: list[Any] | None,
    rest: bytes,
    binary: str | None,
) -> None:
    body = changed(**({} if data is None else {"data": data}) | change) | more
    if binary and isinstance(body["inputs"], list) and body["inputs"]:
        body["inputs"][0] = {
            "name": "Pclass", "shape": [2], "datatype": binary, "parameters": {"binary_data_size": len(rest)}
        }  # fmt: skip
    head = json.dumps(body).encode()
    headers = {"inference-header-content-length": str(len(head))} if binary else {}
    # Any other exception fails this test.
    with suppress(Refused):
        inference_protocol.infer(TITANIC, RULES["titanic"], head + (rest if binary else b""), headers)
