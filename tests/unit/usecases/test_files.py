"""Paths: on this machine, or at a URL of any kind that fsspec reads (here: its own store in memory)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pandas as pd
import pytest

import usecases
from errors import DataError, UsageError
from tests.splitting import split_sample
from training.fingerprint import of_files
from usecases import files
from usecases.taxi import sources
from usecases.titanic import passengers


@pytest.fixture
def memory() -> Iterator[str]:
    """URL of an empty store that is not on a disk."""
    yield "memory://store"
    fsspec.filesystem("memory").rm("/", recursive=True)


def put(file: Path, url: str) -> str:
    files.path(url).write_bytes(file.read_bytes())
    return url


def test_a_path_on_this_machine_is_absolute_and_an_ordinary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert files.path("trips.csv") == tmp_path / "trips.csv"
    assert files.path(f"file://{tmp_path}/trips.csv") == tmp_path / "trips.csv"
    assert all(isinstance(files.path(text), Path) for text in ("trips.csv", "file:///trips.csv"))


def test_a_url_stays_as_it_was_given() -> None:
    assert str(files.path("s3://bucket/folder/trips.csv")) == "s3://bucket/folder/trips.csv"


def test_a_url_that_nothing_reads_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="gopher://trips is no path, and no URL that can be read"):
        files.path("gopher://trips")


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as refused:
        files.path("sftp://me:secret@host/trips.csv")
    assert "password" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_store_whose_client_is_not_installed_says_which_one_that_is() -> None:
    with pytest.raises(DataError, match=r"(?s)Cannot read gs://bucket/trips: .*gcsfs"):
        files.kind(files.path("gs://bucket/trips"))


def test_what_lies_at_a_path_is_a_file_a_folder_or_nothing(memory: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    put(tmp_path / "file", f"{memory}/file")
    for place in (memory, str(tmp_path)):
        found = [files.kind(files.path(text)) for text in (f"{place}/file", place, f"{place}/none")]
        assert found == ["file", "directory", None]


def test_months_are_chosen_in_a_folder_wherever_it_lies(memory: str, tmp_path: Path) -> None:
    one, two = split_sample("taxi", 2, tmp_path)
    for file, month in ((one, "2024-01"), (two, "2024-02")):
        put(file, f"{memory}/green_tripdata_{month}.parquet")
    (chosen,) = sources.locate(memory, ["2024-02"], tmp_path)
    pd.testing.assert_frame_equal(sources.read([chosen]), sources.read([two]))
    with pytest.raises(DataError, match=rf"{memory} has no 2023-12; it has: 2024-01, 2024-02"):
        sources.locate(memory, ["2023-12"], tmp_path)


def test_files_that_are_listed_may_lie_in_different_places(memory: str, tmp_path: Path) -> None:
    one, two = split_sample("titanic", 2, tmp_path)
    url = put(two, f"{memory}/two.csv")
    located = passengers.locate(f"{one}, {url}", None, tmp_path)
    assert [str(file) for file in located] == [str(one), url]
    whole = usecases.load("titanic").read(passengers.locate("sample", None, tmp_path))
    pd.testing.assert_frame_equal(passengers.read(located), whole)


def test_files_that_are_not_there_are_named_beside_the_sources(memory: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"{memory}/none\.csv; named sources: sample"):
        passengers.locate(f"{memory}/none.csv", None, tmp_path)


def test_a_damaged_file_is_named_and_the_network_is_not_blamed(memory: str, tmp_path: Path) -> None:
    (tmp_path / "trips.parquet").write_bytes(b"PAR1")
    url = put(tmp_path / "trips.parquet", f"{memory}/trips.parquet")
    with pytest.raises(DataError, match=r"trips\.parquet cannot be read as parquet") as raised:
        sources.read([files.path(url)])
    assert "network" not in str(raised.value)


def test_a_store_without_marks_of_its_own_is_read_for_the_fingerprint(memory: str, tmp_path: Path) -> None:
    (file,) = split_sample("titanic", 1, tmp_path)
    assert of_files([files.path(put(file, f"{memory}/{file.name}"))]) == of_files([file])
