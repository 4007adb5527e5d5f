"""Arrow bodies of other people's writers are read, and what is damaged or hostile gets a clear error."""

from __future__ import annotations

import io
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.ipc
import pytest

import usecases
from errors import DataError
from serving import arrow, arrow_answer, columns

ROOT = Path(__file__).parents[3]


def stream(table: pa.Table, compression: str | None = None, new: Any = pa.ipc.new_stream) -> bytes:
    body = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with new(body, table.schema, options=options) as writer:
        writer.write_table(table)
    return body.getvalue()


def read_back(body: bytes) -> dict[str, list[Any]]:
    return {name: array.tolist() for name, array in arrow.read(body).items()}


MOMENTS = [datetime(2024, 1, 1, 8, 30), None, datetime(1969, 12, 31, 23, 59)]
COLUMNS = {
    **{str(kind): pa.array([1, None, 7], kind) for kind in (pa.int8(), pa.uint16(), pa.int32(), pa.uint64())},
    **{str(kind): pa.array([1.5, None, -7], kind) for kind in (pa.float16(), pa.float32(), pa.float64())},
    **{str(kind): pa.array(["", None, "äö 🚕" * 9], kind) for kind in (pa.string(), pa.large_string())},
    **{f"ts-{unit}": pa.array(MOMENTS, pa.timestamp(unit)) for unit in ("s", "ms", "us")},
    "view": pa.array(["short", "more than twelve bytes", None], pa.string_view()),
    "bool": pa.array([True, None, False]),
    "nothing": pa.nulls(3),
    "word": pa.array(["b", None, "b"]).dictionary_encode(),
    "whole": pa.array([3, 2, 1]),
}


def test_every_type_that_a_field_can_have_is_read_as_pyarrow_wrote_it() -> None:
    table = pa.table(COLUMNS)
    assert read_back(stream(table)) == table.to_pydict()
    assert read_back(stream(table, new=pa.ipc.new_file)) == table.to_pydict()


def test_several_batches_are_one_table() -> None:
    table = pa.table(COLUMNS)
    parts = pa.concat_tables([table.slice(0, 2), table.slice(2, 1), table.slice(1, 0), table])
    assert read_back(stream(parts)) == parts.to_pydict()


def test_dates_and_nanoseconds_are_moments() -> None:
    days = pa.array([datetime(2024, 2, 29).date()])
    read = arrow.read(
        stream(pa.table({"day": days, "ns": pa.array([1_700_000_000_123_456_789], pa.timestamp("ns"))}))
    )
    assert read["day"].astype("M8[us]").tolist() == [datetime(2024, 2, 29)]
    assert read["ns"].astype("M8[us]").tolist() == [datetime(2023, 11, 14, 22, 13, 20, 123456)]


def test_an_answer_is_read_by_pyarrow() -> None:
    texts = np.array(["a", None, "äö"], dtype=object)
    answer = {
        "minutes": np.array([1.5, np.nan, -3]),
        "survived": np.array([True, False, True]),
        "count": np.array([1, 2, 3]),
        "word": texts,
        "at": np.array(["2024-01-01", "NaT", "1969-12-31"], "M8[us]"),
    }
    table = pa.ipc.open_stream(arrow_answer.write(answer)).read_all()
    table.validate(full=True)
    assert table["minutes"].to_numpy().tolist()[::2] == [1.5, -3.0]
    assert table["word"].to_pylist() == ["a", None, "äö"]
    assert table["survived"].to_pylist() == [True, False, True]
    assert [str(kind) for kind in table.schema.types] == [
        "double",
        "bool",
        "int64",
        "string",
        "timestamp[us]",
    ]
    assert read_back(arrow_answer.write(answer))["count"] == [1, 2, 3]
    assert pa.ipc.open_stream(arrow_answer.write({"p": np.array([])})).read_all().num_rows == 0


@pytest.mark.parametrize("name", ["taxi", "titanic"])
def test_a_frame_of_requests_comes_through_as_the_requests_do(name: str) -> None:
    request, example = usecases.load(name).request, usecases.load(name).example
    requests = [request.model_validate(example, strict=False) for _ in range(3)]
    frame = pd.DataFrame([one.model_dump() for one in requests])
    frame = frame.astype({name: "Int64" for name in frame if frame[name].isna().all()})
    rules = columns.rules(request)
    given = arrow.read(stream(pa.Table.from_pandas(frame.drop(columns=frame.columns[frame.isna().all()]))))
    checked, expected = columns.check(rules, given), columns.from_requests(rules, requests)
    assert {field: array.tolist() for field, array in checked.items() if array.dtype.kind != "f"} == {
        field: array.tolist() for field, array in expected.items() if array.dtype.kind != "f"
    }
    assert all(
        np.array_equal(checked[field], expected[field], equal_nan=True)
        for field in expected
        if expected[field].dtype.kind == "f"
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no Arrow IPC stream: byte 0 of 0"),
        (b'{"rows": []}', "no Arrow IPC stream"),
        (stream(pa.table({"a": [[1]]})), "'a' of the Arrow body is of the type list"),
        (stream(pa.table({"a": [{"b": 1}]})), "type struct"),
        (stream(pa.table({"a": [b"raw"]})), "type binary"),
        (stream(pa.table({"a": pa.array([1], pa.timestamp("us", "UTC"))})), "timestamp with zone"),
        (stream(pa.table({"a": list(range(10))}), "zstd"), "compressed; send it uncompressed"),
        (stream(pa.table([[1], [2]], names=["a", "a"])), "the same name"),
        (stream(pa.table({"a": list(range(11))})), "more than 10 rows"),
        (stream(pa.table({f"c{number}": [1] for number in range(300)})), "300 columns; at most 256"),
    ],
)
def test_what_cannot_be_read_is_told(body: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        arrow.read(body, max_rows=10)


def test_a_body_cut_off_anywhere_is_refused() -> None:
    body = stream(pa.table(COLUMNS))
    for end in [*range(0, len(body) - 4, 7), len(body) - 8]:
        with pytest.raises(DataError):
            arrow.read(body[:end])


def test_small_bodies_cannot_ask_for_much_memory() -> None:
    wide = stream(pa.table({f"c{number}": pa.nulls(1_000_000) for number in range(100)}))
    assert len(wide) < 20_000
    with pytest.raises(DataError, match="25,000,000 values"):
        arrow.read(wide)
    one = pa.array(["x" * 1_000_000], pa.string_view())
    long = pa.Array.from_buffers(
        pa.string_view(), 1000, [None, pa.py_buffer(bytes(one.buffers()[1])[:16] * 1000), one.buffers()[2]]
    )
    with pytest.raises(DataError, match="64,000,000 bytes of text"):
        arrow.read(stream(pa.table({"a": long})))


def test_many_empty_batches_cannot_ask_for_much_time() -> None:
    table = pa.table({f"c{number}": pa.array([], pa.int8()) for number in range(250)})
    body = io.BytesIO()
    with pa.ipc.new_stream(body, table.schema) as writer:
        for _ in range(1_100):
            writer.write_batch(pa.record_batch(table.to_pydict(), table.schema))
    with pytest.raises(DataError, match="25,000,000 values"):
        arrow.read(body.getvalue())


FUZZ = """
import random, resource, sys
from pathlib import Path
from errors import DataError
from serving import arrow
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
chance, read, refused = random.Random(1), 0, 0
for path in sys.argv[1:]:
    body = Path(path).read_bytes()
    for _ in range(4000):
        damaged = bytearray(body)
        how = chance.random()
        reach = chance.choice([64, 4000, len(body)])
        place = chance.randrange(min(len(body), reach))
        if how < 0.5:
            for _ in range(chance.choice([1, 1, 2, 8])):
                damaged[chance.randrange(min(len(body), reach))] ^= 1 << chance.randrange(8)
        elif how < 0.85:
            width = chance.choice([1, 2, 4, 8])
            fill = chance.choice([b"\\xff" * 8, b"\\x00" * 8, b"\\xff" * 7 + b"\\x7f", chance.randbytes(8)])
            damaged[place : place + width] = fill[-width:]
        elif how < 0.95:
            damaged = damaged[:place] + damaged[place + chance.randrange(1, 64) :]
        else:
            damaged = bytearray(b"\\xff" * 4 + chance.randbytes(chance.randrange(500)))
        try:
            for column in arrow.read(bytes(damaged)).values():
                column.tolist()
            read += 1
        except DataError as error:
            assert str(error)
            refused += 1
print(read, refused)
"""


def test_damaged_bodies_never_end_the_process(tmp_path: Path) -> None:
    (tmp_path / "stream").write_bytes(stream(pa.table(COLUMNS)))
    (tmp_path / "file").write_bytes(stream(pa.table(COLUMNS), new=pa.ipc.new_file))
    command = [sys.executable, "-c", FUZZ, str(tmp_path / "stream"), str(tmp_path / "file")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    read, refused = map(int, done.stdout.split())
    assert min(read, refused) > 500
