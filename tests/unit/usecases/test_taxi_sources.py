"""Where trips come from: the sample, the publisher, a folder, files."""

from __future__ import annotations

import http.server
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from errors import DataError, ModelyardError, UsageError
from usecases.taxi import sources

NOBODY = "http://127.0.0.1:9"
MONTHS = ["2024-01", "2024-02"]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder of two months, each with rows of the sample."""
    folder = tmp_path / "published"
    folder.mkdir()
    sample = sources.read([sources.SAMPLE])
    for month, part in zip(MONTHS, (sample.head(50), sample.tail(70)), strict=True):
        part.to_parquet(folder / f"green_tripdata_{month}.parquet", index=False)
    return folder


@pytest.fixture
def publisher(published: Path) -> Iterator[str]:
    """A web server over that folder."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=published)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_second_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between tries, seconds go by."""
    monkeypatch.setattr(sources, "_RETRIES", 0)


def test_the_first_source_is_the_bundled_sample(tmp_path: Path) -> None:
    assert next(iter(sources.SOURCES)) == "sample"
    assert sources.locate("sample", None, tmp_path) == [sources.SAMPLE]


def test_the_sample_has_no_months_to_choose(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--source tlc or a folder"):
        sources.locate("sample", ["2024-01"], tmp_path)


@pytest.mark.parametrize("month", ["2024-1", "2024-13", "2024", "202401", "2024-01-01", "../2024-01", ""])
@pytest.mark.parametrize("source", ["tlc", "sample", "."])
def test_a_malformed_month_is_refused_before_anything_is_fetched(
    source: str, month: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="Months look like 2024-01; got"):
        sources.locate(source, [month], tmp_path, publisher=NOBODY)


def test_a_month_named_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="once"):
        sources.locate("tlc", ["2024-01", "2024-01"], tmp_path, publisher=NOBODY)


def test_a_folder_is_read_where_it_lies_month_by_month(published: Path, tmp_path: Path) -> None:
    (published / "notes.txt").write_text("not a month")
    everything = sources.locate(str(published), None, tmp_path)
    assert [path.name for path in everything] == [f"green_tripdata_{month}.parquet" for month in MONTHS]
    assert len(sources.read(everything)) == 120


def test_months_choose_files_of_a_folder(published: Path, tmp_path: Path) -> None:
    (chosen,) = sources.locate(str(published), ["2024-02"], tmp_path)
    assert len(sources.read([chosen])) == 70


def test_a_month_that_a_folder_lacks_is_named_beside_those_it_has(published: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no 2023-12; it has: 2024-01, 2024-02"):
        sources.locate(str(published), ["2023-12", "2024-01"], tmp_path)


def test_a_folder_without_months_says_which_names_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"green_tripdata_YYYY-MM\.parquet"):
        sources.locate(str(tmp_path), None, tmp_path)


def test_files_are_listed_with_commas(published: Path, tmp_path: Path) -> None:
    first, second = sorted(published.iterdir())
    assert sources.locate(f"{second}, {first}", None, tmp_path) == [second, first]


def test_months_mean_nothing_to_files_that_are_named(published: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="named already"):
        sources.locate(str(next(published.iterdir())), ["2024-01"], tmp_path)


@pytest.mark.parametrize("source", ["tcl", "nowhere/trips.parquet", ""])
def test_a_source_that_is_not_there_is_answered_with_those_that_are(source: str, tmp_path: Path) -> None:
    with pytest.raises(ModelyardError, match=r"named sources: sample, tlc|holds no green_tripdata"):
        sources.locate(source, None, tmp_path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"a,b\n1,2\n", b"\0" * 10_000])
def test_a_file_that_is_no_parquet_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "trips.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"trips\.parquet cannot be read as parquet"):
        sources.read([tmp_path / "trips.parquet"])


def test_a_file_cut_short_or_damaged_within_is_named(tmp_path: Path) -> None:
    whole = sources.SAMPLE.read_bytes()
    for content in (whole[:-1000], whole[:50_000] + bytes(10_000) + whole[60_000:]):
        (tmp_path / "trips.parquet").write_bytes(content)
        with pytest.raises(DataError, match=r"trips\.parquet cannot be read as parquet"):
            sources.read([tmp_path / "trips.parquet"])


def test_a_file_that_went_away_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.parquet"):
        sources.read([tmp_path / "gone.parquet"])


def test_a_file_without_a_column_says_which(tmp_path: Path) -> None:
    path = tmp_path / "trips.parquet"
    sources.read([sources.SAMPLE]).drop(columns=["trip_type", "VendorID"]).to_parquet(path)
    with pytest.raises(DataError, match=r"has no column VendorID, trip_type; expected"):
        sources.read([path])


def test_a_file_with_text_for_numbers_says_what_was_expected(tmp_path: Path) -> None:
    path = tmp_path / "trips.parquet"
    sources.read([sources.SAMPLE]).assign(PULocationID="Harlem").to_parquet(path)
    with pytest.raises(DataError, match=r"PULocationID int32.*Harlem"):
        sources.read([path])


def test_months_with_wider_or_whole_numbers_read_the_same_as_others(tmp_path: Path) -> None:
    sample = sources.read([sources.SAMPLE]).dropna()
    wide = {"PULocationID": "int64", "DOLocationID": "int64", "VendorID": "int64", "passenger_count": "int64"}
    sample.astype(wide).to_parquet(tmp_path / "wide.parquet", index=False)
    pd.testing.assert_frame_equal(sources.read([tmp_path / "wide.parquet"]), sample.reset_index(drop=True))


def test_without_a_network_the_error_says_what_can_be_done(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        sources.locate("tlc", ["2024-01"], tmp_path, publisher=NOBODY)
    message = str(raised.value)
    assert f"Cannot download {NOBODY}/green_tripdata_2024-01.parquet" in message
    assert "--source sample" in message
    assert "--source FOLDER" in message


def test_a_month_that_the_publisher_lacks_is_a_data_error(publisher: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="404"):
        sources.locate("tlc", ["2030-01"], tmp_path / "cache", publisher=publisher)


def test_months_are_downloaded_once_with_their_checksum(
    publisher: str, published: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    files = sources.locate("tlc", None, cache, publisher=publisher)
    assert [len(sources.read([file])) for file in files] == [50, 70]
    kept = {path.name for path in (cache / "tlc").iterdir()}
    assert kept == {name for file in files for name in (file.name, f"{file.name}.sha256")}
    assert sources.locate("tlc", None, cache, publisher=NOBODY) == files


def test_a_damaged_download_is_fetched_again_and_a_changed_one_refused(
    publisher: str, published: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    (file,) = sources.locate("tlc", ["2024-01"], cache, publisher=publisher)
    file.write_bytes(b"half of it")
    sources.locate("tlc", ["2024-01"], cache, publisher=publisher)
    assert len(sources.read([file])) == 50

    file.unlink()
    shutil.copy(published / "green_tripdata_2024-02.parquet", published / "green_tripdata_2024-01.parquet")
    with pytest.raises(DataError, match=r"(?s)Cannot download.*hash"):
        sources.locate("tlc", ["2024-01"], cache, publisher=publisher)
