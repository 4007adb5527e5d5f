from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pytest

import usecases
from errors import DataError
from ingestion.chunks import Chunk, of_objects
from ingestion.door import Door, typed
from ingestion.spec import Decisions, Source
from tests.toy import toy

SCHEMA = pandera.DataFrameSchema(
    {
        "id": pandera.Column("int64", unique=True),
        "x": pandera.Column("float64", pandera.Check.ge(0)),
        "colour": pandera.Column(str, pandera.Check.isin(["red", "blue"]), nullable=True),
        "at": pandera.Column("datetime64[us]", nullable=True),
    }
)
CASE = toy(raw_schema=lambda: SCHEMA)
GOOD = {"id": 1, "x": 1.5, "colour": "red", "at": "2024-01-01 10:00:00"}


def door(known: list[str] | None = None, columns: dict[str, str] | None = None, **decisions: Any) -> Door:
    return Door(CASE, Source(columns=columns or {}, decisions=Decisions(**decisions)), known)


def chunk(*rows: dict[str, Any]) -> Chunk:
    (made,) = of_objects("rows.jsonl", rows)
    return made


def test_good_rows_come_in_the_use_cases_types_under_its_names() -> None:
    passed = door(columns={"colour": "color"})(
        chunk({"id": 1, "x": 2, "color": "red", "at": "2024-01-01T10:00:00", "more": 1})
    )
    assert passed.accepted.to_pylist() == [
        {"id": 1, "x": 2.0, "colour": "red", "at": datetime(2024, 1, 1, 10)}
    ]
    assert not len(passed.rejected)


def test_a_row_that_breaks_the_contract_goes_to_quarantine_as_it_came_with_every_reason() -> None:
    bad = {**GOOD, "id": 2, "x": -1.0, "colour": "green"}
    gate = door()
    passed = gate(chunk(GOOD, bad))
    assert passed.accepted["id"].to_pylist() == [1]
    (rejected,) = passed.rejected.to_pylist()
    assert rejected["origin"] == "rows.jsonl"
    assert json.loads(rejected["row"]) == bad
    assert "x: expected greater_than_or_equal_to(0)" in rejected["reason"]
    assert "colour: expected isin" in rejected["reason"]
    assert sum(gate.reasons.values()) == 2


def test_a_value_of_another_type_is_for_the_source_to_decide() -> None:
    bad = {**GOOD, "id": 2, "at": "yesterday"}
    passed = door()(chunk(GOOD, bad))
    assert passed.rejected["reason"].to_pylist() == ["at: is no timestamp[us]"]
    ignored = door(retyped="ignore")(chunk(GOOD, bad))
    assert ignored.accepted["at"].to_pylist() == [datetime(2024, 1, 1, 10), None]
    with pytest.raises(DataError, match=r"at is to be timestamp.*such as 'yesterday'"):
        door(retyped="reject")(chunk(GOOD, bad))
    with pytest.raises(DataError, match="allows no gaps in it"):
        door(retyped="ignore")(chunk(GOOD, {**GOOD, "id": 2, "x": "much"}))


def test_a_missing_column_is_for_the_source_to_decide() -> None:
    row = {key: value for key, value in GOOD.items() if key != "colour"}
    with pytest.raises(DataError, match=r"column colour is missing; it has id, x, at\. Name what"):
        door()(chunk(row))
    assert door(missing="ignore")(chunk(row)).accepted["colour"].to_pylist() == [None]
    assert door(missing="quarantine")(chunk(row)).rejected["reason"].to_pylist() == [
        "column colour is missing"
    ]
    del row["x"]
    with pytest.raises(DataError, match="allows no gaps in x"):
        door(missing="ignore")(chunk(row))


def test_a_new_column_is_one_that_no_load_before_had() -> None:
    row = {**GOOD, "tip": 1}
    assert door()(chunk(row)).accepted.num_rows == 1
    known = list(GOOD)
    gate = door(known)
    gate(chunk(row))
    assert gate.new == ["tip"]
    assert door(known, new="quarantine")(chunk(row)).rejected["reason"].to_pylist() == ["new column tip"]
    with pytest.raises(DataError, match="has a new column tip, which no load before had"):
        door(known, new="reject")(chunk(row))
    assert door([*known, "tip"], new="reject")(chunk(row)).accepted.num_rows == 1


def test_an_invalid_row_can_end_the_load() -> None:
    with pytest.raises(DataError, match=r"x: expected greater_than_or_equal_to\(0\), 1 times not so"):
        door(invalid="reject")(chunk({**GOOD, "x": -1.0}))


def test_what_must_be_unique_is_looked_for_in_the_chunk_in_the_load_and_in_earlier_ones() -> None:
    gate = Door(CASE, Source(), None, lambda column, values: {7} & set(values))
    passed = gate(chunk(GOOD, {**GOOD, "id": 7}))
    assert passed.accepted["id"].to_pylist() == [1]
    again = gate(chunk(GOOD, {**GOOD, "id": 2}))
    assert again.rejected["reason"].to_pylist() == ["id: came before, and must be unique"]
    twice = gate(chunk({**GOOD, "id": 3}, {**GOOD, "id": 3}))
    assert twice.rejected.num_rows == 2


def test_a_mapping_of_a_column_that_the_use_case_has_not_is_refused() -> None:
    with pytest.raises(DataError, match="maps weight, which toy does not have"):
        door(columns={"weight": "w"})


@pytest.mark.parametrize(
    ("values", "wanted", "expected"),
    [
        (["1", "2.0", "x", None], pa.int64(), [1, None, None, None]),
        ([1.0, 2.5], pa.int64(), [1, None]),
        ([1, 2**40], pa.int32(), [1, None]),
        (["1e3", " 2", "nan?"], pa.float64(), [1000.0, None, None]),
        ([1, 2], pa.string(), [None, None]),
        ([20240101], pa.timestamp("us"), [None]),
        (["2024-01-01", "2024-13-01"], pa.timestamp("us"), [datetime(2024, 1, 1), None]),
        ([True, False], pa.int64(), [1, 0]),
    ],
)
def test_values_become_the_type_that_is_wanted_or_are_none_of_it(
    values: list[Any], wanted: pa.DataType, expected: list[Any]
) -> None:
    found, bad = typed(pa.chunked_array([pa.array(values)]), wanted)
    assert found.to_pylist() == expected
    assert bad.tolist() == [
        value is not None and made is None for value, made in zip(values, expected, strict=True)
    ]


@pytest.mark.parametrize("name", usecases.names())
def test_every_use_case_takes_in_the_rows_that_it_reads_itself(name: str) -> None:
    case = usecases.load(name)
    raw = case.read(case.locate(next(iter(case.sources)), None, None))  # type: ignore[arg-type]
    rows = pa.Table.from_pandas(raw, preserve_index=False)
    passed = Door(case, Source())(Chunk("sample", rows.column_names, rows))
    assert passed.rejected.num_rows == 0
    pd.testing.assert_frame_equal(passed.accepted.to_pandas()[list(raw)], raw)
