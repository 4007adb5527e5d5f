from __future__ import annotations

import os
from pathlib import Path

import pytest

from errors import DataError
from training import fingerprint
from training.fingerprint import Fingerprint

SAME = Fingerprint(
    data={"a.csv": "0" * 64}, code="1" * 64, commit="abc", lock="2" * 64, python="3.11.7 x86_64"
)


def test_equal_fingerprints_differ_in_nothing_even_when_the_commit_is_another() -> None:
    assert SAME.differences(SAME.model_copy(update={"commit": "def"})) == []


def test_each_difference_is_named_with_what_was_and_what_is() -> None:
    other = Fingerprint(
        data={"a.csv": "9" * 64, "b.csv": "8" * 64},
        code="7" * 64,
        commit="def",
        lock="6" * 64,
        python="3.12.1 x86_64",
    )
    assert SAME.differences(other) == [
        "data: a.csv was 000000000000, is 999999999999",
        "data: b.csv was absent, is 888888888888",
        "code: was 111111111111, is 777777777777 (commit abc, now def)",
        "lock: was 222222222222, is 666666666666",
        "python: was 3.11.7 x86_64, is 3.12.1 x86_64",
    ]


def test_one_changed_byte_changes_the_fingerprint_of_the_data(tmp_path: Path) -> None:
    file = tmp_path / "trips.csv"
    file.write_text("1")
    before = fingerprint.of_files([file])
    file.write_text("2")
    assert fingerprint.of_files([file]) != before


def test_files_of_the_same_name_are_refused_since_their_record_would_be_ambiguous(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must differ in name"):
        fingerprint.of_files([tmp_path / "a" / "x.csv", tmp_path / "b" / "x.csv"])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Cannot read .*gone\.csv"):
        fingerprint.of_files([tmp_path / "gone.csv"])


def test_another_use_case_does_not_change_the_code_that_made_this_one() -> None:
    assert fingerprint.of_code("taxi") != fingerprint.of_code("titanic")
    assert fingerprint.of_code("taxi") == fingerprint.of_code("taxi")


def test_a_file_is_read_once_for_as_long_as_it_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "trips.csv"
    file.write_text("one")
    known: dict[str, str] = {}
    first = fingerprint.of_files([file], known)
    assert first == fingerprint.of_files([file])

    times = file.stat()
    file.write_text("two")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # of the same size and, it claims, age
    second = fingerprint.of_files([file], known)
    assert second == fingerprint.of_files([file]) != first

    monkeypatch.setattr(fingerprint, "of_file", lambda path: pytest.fail(f"{path} was read again"))
    assert fingerprint.of_files([file], known) == second
