"""Whatever lies in a body, it is answered or refused in words, and the next one is answered right."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.serving.live import EXAMPLE, Live

JSON_PATHS = ("/predict", "/predict_batch", "/explain", "/outcomes")
INFER = "/v2/models/titanic/infer"
ARROW = "application/vnd.apache.arrow.stream"
GOOD = json.dumps(EXAMPLE).encode()


@pytest.fixture(autouse=True)
def unharmed(live: Live) -> Iterator[None]:
    before = len(live.log.read_bytes())
    yield
    live.answers_right()
    written = live.log.read_bytes()[before:].decode()
    assert "Traceback" not in written, written


def with_value(value: bytes, field: str = "Age") -> bytes:
    """The example with this in place of one field's value."""
    return json.dumps(EXAMPLE | {field: "HERE"}).encode().replace(b'"HERE"', value)


NESTED = 100_000
BAD: dict[str, bytes] = {
    "nothing": b"",
    "white space": b" \n\t ",
    "a NUL": b"\0",
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "UTF-16": json.dumps(EXAMPLE).encode("utf-16"),
    "UTF-32": json.dumps(EXAMPLE).encode("utf-32"),
    "invalid UTF-8 as a value": with_value(b'"\xff\xfe"', "Sex"),
    "invalid UTF-8 as a name": b'{"\xff": 1}',
    "an overlong encoding": with_value(b'"\xc0\xaf"', "Sex"),
    "a lone surrogate": with_value(b'"\\ud800"', "Sex"),
    "a lone surrogate as a name": b'{"\\udc00": 1}',
    "a lone surrogate in UTF-8": with_value(b'"\xed\xa0\x80"', "Sex"),
    "a NUL in a value": with_value(b'"\\u0000"', "Sex"),
    "a control character": with_value(b'"\x01"', "Sex"),
    "NaN": with_value(b"NaN"),
    "Infinity": with_value(b"Infinity"),
    "-Infinity": with_value(b"-Infinity"),
    "an overflow": with_value(b"1e400"),
    "a huge exponent": with_value(b"1e999999999"),
    "5,000 digits": with_value(b"9" * 5_000),
    "1,000,000 digits": with_value(b"9" * 1_000_000),
    "a huge integer": with_value(b"9" * 5_000, "Pclass"),
    "2**63": with_value(b"9223372036854775808", "Pclass"),
    "-2**63": with_value(b"-9223372036854775809", "SibSp"),
    "hexadecimal": with_value(b"0x1F"),
    "a leading zero": with_value(b"01"),
    "a plus": with_value(b"+1"),
    "minus zero point": with_value(b"-.5"),
    "text for a number": with_value(b'"31"'),
    "true for a number": with_value(b"true"),
    "a fraction for an integer": with_value(b"2.0001", "Pclass"),
    "an array for a number": with_value(b"[31]"),
    "an object for a number": with_value(b'{"value": 31}'),
    "a long string": with_value(b'"' + b"a" * 1_500_000 + b'"', "Sex"),
    "a long name": b'{"' + b"a" * 1_500_000 + b'": 1}',
    "10 MB": with_value(b'"' + b"a" * 10_000_000 + b'"', "Sex"),
    "many unknown fields": b"{" + b",".join(b'"f%d":0' % number for number in range(100_000)) + b"}",
    "nested arrays": b"[" * NESTED + b"]" * NESTED,
    "nested objects": b'{"a":' * NESTED + b"1" + b"}" * NESTED,
    "nested and open": b"[" * NESTED,
    "nested rows": b'{"rows":' + b"[" * NESTED + b"]" * NESTED + b"}",
    "a field that is given twice": GOOD[:-1] + b', "Age": 4.0}',
    "a field that is given twice, spelt differently": GOOD[:-1] + b', "\\u0041ge"\n:\t4.0}',
    "rows that are given twice": b'{"rows": [%b], "rows": [%b]}' % (GOOD, GOOD),
    "a field of a row twice": b'{"rows": [%b]}' % (GOOD[:-1] + b', "Age": 4.0}'),
    "outcomes that say something twice": b'{"outcomes": [{"request_id": "a", "value": 1, "value": 0}]}',
    "an outcome that is no number": b'{"outcomes": [{"request_id": "a", "value": NaN}]}',
    "half": GOOD[: len(GOOD) // 2],
    "two": GOOD + GOOD,
    "single quotes": GOOD.replace(b'"', b"'"),
    "a comment": GOOD[:-1] + b"/* */}",
    "a comma too many": GOOD[:-1] + b",}",
    "null": b"null",
    "a number": b"1",
    "a text": b'"text"',
    "an array": b"[]",
    "no rows": b'{"rows": []}',
    "rows that are null": b'{"rows": null}',
    "1,001 rows": b'{"rows": [' + b",".join([GOOD] * 1_001) + b"]}",
    "__proto__": b'{"__proto__": {}}',
    "SQL": with_value(b'"\'; DROP TABLE prediction; --"', "Sex"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_body_of_nonsense_is_refused_in_words(live: Live, name: str) -> None:
    with live.client() as http:
        for path in JSON_PATHS:
            answered = http.post(path, content=BAD[name], headers={"Content-Type": "application/json"})
            assert answered.status_code in (400, 413, 422), (path, answered.text[:1_000])
            assert answered.headers["content-type"] == "application/problem+json"
            problem = answered.json()
            assert problem["status"] == answered.status_code
            assert problem["detail"]
            assert len(answered.content) < 50_000
        infer = http.post(INFER, content=BAD[name], headers={"Content-Type": "application/json"})
        assert infer.status_code in (400, 413), infer.text[:1_000]
        assert set(infer.json()) == {"error"}


def test_a_field_that_is_given_twice_is_named(live: Live) -> None:
    with live.client() as http:
        answered = http.post(
            "/predict", content=GOOD[:-1] + b', "Age": 4.0}', headers={"Content-Type": "application/json"}
        )
    assert answered.status_code == 422
    assert answered.json()["errors"] == [{"field": "Age", "message": "Is given more than once."}]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "nonsense"])
def test_compressed_bodies_are_refused_and_never_unpacked(live: Live, encoding: str) -> None:
    bomb = gzip.compress(b" " * 100_000_000)
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    with live.client() as http:
        for path in (*JSON_PATHS, INFER):
            answered = http.post(path, content=bomb, headers=headers)
            assert answered.status_code == 415, (path, answered.text)
            assert ("error" in answered.json()) == (path == INFER)
        answered = http.post("/predict_batch", content=bomb, headers=headers | {"Content-Type": ARROW})
        assert answered.status_code == 415
        plain = http.post("/predict", content=GOOD, headers=headers | {"Content-Encoding": "identity"})
        assert plain.status_code == 200


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "a/b; c=d"]
)
def test_what_is_not_said_to_be_json_is_not_read_as_json(live: Live, kind: str) -> None:
    with live.client() as http:
        for path in JSON_PATHS:
            assert http.post(path, content=GOOD, headers={"Content-Type": kind}).status_code == 415


def arrow_table() -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    table = pa.Table.from_pylist([EXAMPLE] * 3)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def test_arrow_of_nonsense_is_refused_in_words(live: Live) -> None:
    good = arrow_table()
    chance = random.Random(1)  # noqa: S311
    bad: list[bytes] = [b"", b"\0" * 100, b"ARROW1", GOOD, good[:100], good[:-20], b"\xff" * 1_000, good * 2]
    bad += [chance.randbytes(size) for size in (1, 8, 100, 10_000)]
    for _ in range(400):
        changed = bytearray(good)
        for _ in range(chance.randint(1, 8)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        bad.append(bytes(changed))
    with live.client() as http:
        assert http.post("/predict_batch", content=good, headers={"Content-Type": ARROW}).status_code == 200
        for body in bad:
            answered = http.post("/predict_batch", content=body, headers={"Content-Type": ARROW})
            assert answered.status_code in (200, 400, 413, 422), (body, answered.text)
            if answered.status_code != 200:
                assert answered.headers["content-type"] == "application/problem+json"


def oip() -> dict[str, Any]:
    kinds = {int: "INT64", float: "FP64", str: "BYTES"}
    inputs = [
        {"name": name, "shape": [1], "datatype": kinds[type(value)], "data": [value]}
        for name, value in EXAMPLE.items()
    ]
    return {"inputs": inputs}


def test_tensors_of_nonsense_are_refused_in_the_protocols_words(live: Live) -> None:
    chance = random.Random(2)  # noqa: S311
    good = json.dumps(oip()).encode()
    values = [
        None,
        True,
        -1,
        2**70,
        1e308,
        "x",
        [],
        {},
        [[]],
        [None],
        [{}],
        [1, 2],
        "BYTES",
        "FP64",
        [-1],
        [2**40],
        [1, 1, 1],
    ]

    def changed() -> dict[str, Any]:
        body = oip()
        tensor = chance.choice(body["inputs"])
        name = chance.choice([*tensor, "parameters", "extra"])
        tensor[name] = chance.choice(values)
        if chance.random() < 0.2:
            body[chance.choice(["outputs", "id", "parameters", "inputs"])] = chance.choice(values)
        return body

    bodies = [(json.dumps(changed()).encode(), {}) for _ in range(400)]
    for length in (
        "0",
        "-1",
        "abc",
        "99999999999",
        "1" * 5_000,
        str(len(good)),
        str(len(good) // 2),
        "1e3",
        "\xb2",
    ):
        bodies += [(good, {"Inference-Header-Content-Length": length})]
        bodies += [(good + chance.randbytes(64), {"Inference-Header-Content-Length": length})]
    binary = oip()
    for tensor in binary["inputs"]:
        del tensor["data"]
        tensor["parameters"] = {"binary_data_size": chance.choice([0, 4, 8, -1, 2**40])}
    head = json.dumps(binary).encode()
    bodies += [
        (head + chance.randbytes(size), {"Inference-Header-Content-Length": str(len(head))})
        for size in (0, 8, 56, 1_000)
    ]
    with live.client() as http:
        assert http.post(INFER, content=good, headers={"Content-Type": "application/json"}).status_code == 200
        for body, headers in bodies:
            sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
            answered = http.post(INFER, content=body, headers=[(b"content-type", b"application/json"), *sent])
            assert answered.status_code in (200, 400, 413, 422), (body, headers, answered.text)
            if answered.status_code != 200:
                assert set(answered.json()) == {"error"}, (body, answered.text)
