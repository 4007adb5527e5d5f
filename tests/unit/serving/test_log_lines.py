"""What the prediction log writes is what PostgreSQL's COPY reads, whatever requests hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from serving.log.spool import NOTED_ROWS, Spool

NOON = 1_764_158_400.25  # 2025-11-26 12:00:00.25 UTC


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", 1_000_000, "taxi")


def test_a_prediction_is_a_line_of_fields_between_tabs(spool: Spool) -> None:
    spool.predicted("5f0c", 2, NOON, 7, "4bf9", b'{"zone": 74}', b'{"minutes":12.5}', 0.000_321)
    line = "taxi\t2025-11-26 12:00:00.250000+00\t5f0c\t2\t7\t4bf9\t321e-6\t"
    assert _written(spool) == f'{line}{{"zone": 74}}\t{{"minutes":12.5}}\n'


def test_without_a_trace_the_field_is_null(spool: Spool) -> None:
    spool.predicted("5f0c", 0, NOON, 7, None, b"{}", b"{}", 0.1)
    assert _written(spool).split("\t")[5] == r"\N"


def test_long_requests_are_not_gathered_in_memory_until_there_are_many(spool: Spool) -> None:
    for row in range(NOTED_ROWS // 2):
        spool.predicted("5f0c", row, NOON, 7, None, b'{"note": "%b"}' % (b"a" * 10_000), b"{}", 0.1)
    assert spool.written > 0


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        'a "quote"',
        "a\\backslash",
        "ends in \\",
        "a\ttab, a\nline\r\n",
        "é 東京 \U0001f695",
        r"\N",
        r"\.",
    ],
)
@pytest.mark.parametrize("indent", [None, "\t", 2])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_json_is_one_field_of_one_line_and_comes_back(
    spool: Spool, value: str, indent: str | int | None, ascii_only: bool
) -> None:
    request = {"name": value, "more": [1, {"é": value}]}
    inputs = json.dumps(request, indent=indent, ensure_ascii=ascii_only)
    if indent == "\t":
        inputs = inputs.replace("\n", "\r\n")
    spool.predicted("5f0c", 0, NOON, 7, None, inputs.encode(), json.dumps(value).encode(), 0.1)
    line, _, rest = _written(spool).partition("\n")
    assert rest == ""
    fields = [field.replace("\\\\", "\\") for field in line.split("\t")]
    assert len(fields) == 9
    assert json.loads(fields[7]) == request
    assert json.loads(fields[8]) == value


def test_a_nul_character_which_postgresql_has_not_is_replaced(spool: Spool) -> None:
    spool.predicted("5f0c", 0, NOON, 7, None, b'{"name": "a\\u0000b"}', b"{}", 0.1)
    assert r'{"name": "a\\ufffdb"}' in _written(spool)


@pytest.mark.parametrize(("at", "written"), [(NOON, "00.250000"), (NOON + 0.749_999_5, "00.999999")])
def test_moments_have_microseconds(spool: Spool, at: float, written: str) -> None:
    spool.predicted("5f0c", 0, at, 7, None, b"{}", b"{}", 0.1)
    assert f"2025-11-26 12:00:{written}+00" in _written(spool)


def test_an_outcome_is_a_line_too_whatever_its_request_is_called(spool: Spool) -> None:
    spool.outcome("a\tb\\c\nd", 1, 12.25, NOON)
    assert _written(spool) == "taxi\ta\\tb\\\\c\\nd\t1\t12.25\t2025-11-26 12:00:00.250000+00\n"


def test_a_segment_is_of_one_day(spool: Spool) -> None:
    for at in (NOON, NOON + 24 * 3600):
        spool.predicted("5f0c", 0, at, 7, None, b"{}", b"{}", 0.1)
    spool.close()
    assert sorted(path.name.split(".")[1] for path in spool.folder.iterdir()) == ["20251126", "20251127"]


def test_only_its_owner_can_read_what_was_asked(spool: Spool) -> None:
    spool.predicted("5f0c", 0, NOON, 7, None, b"{}", b"{}", 0.1)
    spool.flush()
    (segment,) = spool.folder.iterdir()
    assert (spool.folder.stat().st_mode & 0o777, segment.stat().st_mode & 0o777) == (0o700, 0o600)


def test_more_than_the_limit_is_dropped_and_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10_000, "taxi")
    for _ in range(100):
        spool.predicted("5f0c", 0, NOON, 7, None, b'{"name": "%b"}' % (b"x" * 400), b"{}", 0.1)
        spool.flush()
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert 9_000 < size <= 10_000
    assert size == spool.bytes
    assert 10 < spool.written < 30
    assert spool.dropped == {"full": 100 - spool.written, "disk": 0, "torn": 0}


def test_a_folder_that_is_gone_costs_rows_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path / "spool", 10_000, "taxi")
    spool.folder.rmdir()
    for _ in range(3):
        spool.predicted("5f0c", 0, NOON, 7, None, b"{}", b"{}", 0.1)
        spool.flush()
    assert spool.dropped["disk"] == 3
    assert len(caplog.messages) == 1
    assert "No such file" in caplog.messages[0]

    spool.folder.mkdir()
    spool.predicted("5f0c", 0, NOON, 7, None, b"{}", b"{}", 0.1)
    spool.flush()
    assert spool.written == 1


def _written(spool: Spool) -> str:
    spool.close()
    (segment,) = spool.folder.glob("*.rows")
    return segment.read_bytes().decode()
