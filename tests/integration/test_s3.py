"""Data on a real S3 server: read where they lie, told apart by their content, put there for pods."""

from __future__ import annotations

import hashlib
import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from s3fs import S3FileSystem

import usecases
from errors import DataError
from settings import PROJECT
from tests import s3 as server
from tests.forwarding import forwarding
from tests.integration.command_line import CommandLine
from tests.splitting import prepared_one_by_one, prepared_together, split_sample
from training import data, fingerprint
from training.upload import upload
from usecases import files
from usecases.taxi import sources

TAXI = usecases.load("taxi")
MONTHS = ["2024-01", "2024-02", "2024-03"]


@pytest.fixture
def months(bucket: str, tmp_path: Path) -> str:
    """URL of a folder with three months of trips, and what else may lie there."""
    for month, file in zip(MONTHS, split_sample("taxi", 3, tmp_path), strict=True):
        files.path(f"{bucket}/green/green_tripdata_{month}.parquet").write_bytes(file.read_bytes())
    files.path(f"{bucket}/green/notes.txt").write_text("not a month")
    return f"{bucket}/green"


def test_a_folder_lists_its_months_and_they_read_as_on_this_machine(months: str, tmp_path: Path) -> None:
    located = sources.locate(months, None, tmp_path)
    assert [str(file) for file in located] == [f"{months}/green_tripdata_{month}.parquet" for month in MONTHS]
    pd.testing.assert_frame_equal(
        sources.read(located), sources.read(split_sample("taxi", 3, tmp_path)), check_exact=True
    )
    assert sources.locate(months, MONTHS[1:2], tmp_path) == located[1:2]


def test_a_month_that_is_missing_is_named_as_on_this_machine(months: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"{months} has no 2023-12; it has: 2024-01, 2024-02, 2024-03"):
        sources.locate(months, ["2023-12", "2024-01"], tmp_path)


def test_one_file_is_named_by_its_url(months: str, tmp_path: Path) -> None:
    (file,) = sources.locate(f"{months}/green_tripdata_2024-02.parquet", None, tmp_path)
    assert 7_000 < len(sources.read([file])) < 8_000


def test_months_of_a_store_prepared_one_by_one_give_what_they_give_together(
    months: str, tmp_path: Path
) -> None:
    located = sources.locate(months, None, tmp_path)
    one_by_one, together = prepared_one_by_one(TAXI, located), prepared_together(TAXI, located)
    pd.testing.assert_frame_equal(one_by_one.clean, together.clean, check_exact=True)
    assert one_by_one[1:] == together[1:]


def test_only_the_columns_that_are_used_are_fetched(
    s3: str, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips = sources.read([sources.SAMPLE])
    ballast = np.random.default_rng(0).bytes(1_000 * len(trips))
    fat = trips.assign(ballast=[ballast[1_000 * row : 1_000 * (row + 1)] for row in range(len(trips))])
    fat.to_parquet(tmp_path / "fat.parquet", row_group_size=5_000)
    files.path(f"{bucket}/fat.parquet").write_bytes((tmp_path / "fat.parquet").read_bytes())
    with forwarding(s3) as line:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", line.url)
        S3FileSystem.clear_instance_cache()
        read = sources.read([files.path(f"{bucket}/fat.parquet")])
    pd.testing.assert_frame_equal(read, trips)
    assert (tmp_path / "fat.parquet").stat().st_size > 20_000_000
    assert 100_000 < line.received < 1_000_000


def test_a_file_is_told_by_its_etag_and_size_and_not_read_for_it(months: str, bucket: str) -> None:
    file = files.path(f"{months}/notes.txt")
    mark = hashlib.md5(b"not a month").hexdigest()  # noqa: S324 - the ETag of S3
    assert fingerprint.of_files([file]) == {"notes.txt": f"etag:{mark}:11"}


def test_a_file_that_was_replaced_since_it_was_planned_is_not_read(months: str, tmp_path: Path) -> None:
    located = sources.locate(months, MONTHS[:1], tmp_path)
    planned = fingerprint.of_files(located)
    located[0].write_bytes(files.path(f"{months}/green_tripdata_2024-02.parquet").read_bytes())
    with pytest.raises(DataError, match=r"Changed since .*: green_tripdata_2024-01\.parquet"):
        data.read(TAXI, [str(file) for file in located], planned)


def test_without_credentials_the_error_names_the_variables(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(DataError, match=r"(?s)Unable to locate credentials.*AWS_ACCESS_KEY_ID"):
        sources.locate(f"{bucket}/green", None, tmp_path)


def test_a_bucket_that_is_not_there_is_named_with_the_endpoint_that_was_asked(
    s3: str, bucket: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as raised:
        sources.locate("s3://nobody-made-this/green", None, tmp_path)
    assert "s3://nobody-made-this/green: The specified bucket does not exist" in str(raised.value)
    assert f"Asked was {s3}" in str(raised.value)


def test_a_store_that_does_not_answer_is_given_up_quickly(
    bucket: str, free_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free_port}")
    S3FileSystem.clear_instance_cache()
    begun = time.monotonic()
    with pytest.raises(DataError, match=r"(?s)Could not connect.*AWS_ENDPOINT_URL_S3"):
        sources.locate(f"{bucket}/green", None, tmp_path)
    assert time.monotonic() - begun < 10


def test_a_store_that_refuses_the_key_is_quoted(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refusing() as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        S3FileSystem.clear_instance_cache()
        with pytest.raises(DataError, match=r"(?s)Forbidden.*AWS_SECRET_ACCESS_KEY"):
            sources.locate(f"{bucket}/green", None, tmp_path)


def test_uploaded_files_have_the_fingerprint_that_they_have_here(bucket: str, tmp_path: Path) -> None:
    here = split_sample("taxi", 3, tmp_path)
    there = upload([files.path(file) for file in here], files.path(f"{bucket}/store"))
    digests = fingerprint.of_files(here)
    assert [str(file) for file in there] == [
        f"{bucket}/store/data/{digests[file.name]}/{file.name}" for file in here
    ]
    assert fingerprint.of_files([files.path(str(file)) for file in there]) == digests
    pd.testing.assert_frame_equal(sources.read(there), sources.read(here), check_exact=True)


def test_what_is_there_is_not_sent_again_and_what_is_there_by_mistake_is_replaced(
    bucket: str, tmp_path: Path
) -> None:
    (file,) = split_sample("titanic", 1, tmp_path)
    (target,) = upload([files.path(file)], files.path(bucket))
    first = target.fs.info(target.path)["LastModified"]
    upload([files.path(file)], files.path(bucket))
    assert target.fs.info(target.path)["LastModified"] == first

    target.write_bytes(b"?" * file.stat().st_size)
    upload([files.path(file)], files.path(bucket))
    assert target.read_bytes() == file.read_bytes()


def test_files_that_lie_elsewhere_already_stay_there(months: str, bucket: str, tmp_path: Path) -> None:
    located = sources.locate(months, None, tmp_path)
    assert upload(located, files.path(bucket)) == located


def test_a_folder_on_this_machine_takes_uploads_too_whole_or_not_at_all(tmp_path: Path) -> None:
    (file,) = split_sample("titanic", 1, tmp_path)
    for _ in range(2):
        (target,) = upload([files.path(file)], files.path(tmp_path / "store"))
    assert target.read_bytes() == file.read_bytes()
    assert [path.name for path in target.parent.iterdir()] == [file.name]


def test_two_at_once_upload_one_large_file_and_both_find_it_whole(bucket: str, tmp_path: Path) -> None:
    file = large(tmp_path)
    uploads = [uploading(file, bucket) for _ in range(2)]
    said = [process.communicate()[0].strip() for process in uploads]
    assert [process.returncode for process in uploads] == [0, 0]
    assert len(set(said)) == 1
    assert fingerprint.of_file(files.path(said[0])) == fingerprint.of_file(file)


def test_an_upload_that_is_killed_leaves_nothing_that_could_be_taken_for_the_file(
    s3: str, bucket: str, tmp_path: Path
) -> None:
    file = large(tmp_path)
    with forwarding(s3, limit=50_000_000) as line:
        process = uploading(file, bucket, AWS_ENDPOINT_URL_S3=line.url)
        assert line.stuck.wait(60)
        process.kill()
        process.communicate()
    assert server.client(s3).list_objects_v2(Bucket=bucket.removeprefix("s3://"))["KeyCount"] == 0

    (target,) = upload([files.path(file)], files.path(bucket))
    assert fingerprint.of_file(target) == fingerprint.of_file(file)


def test_a_training_on_a_store_is_reproduced_from_it(bucket: str, tmp_path: Path, free_port: int) -> None:
    (passengers,) = split_sample("titanic", 1, tmp_path)
    url = f"{bucket}/passengers/list.csv"
    files.path(url).write_bytes(passengers.read_bytes())
    modelyard = CommandLine(tmp_path / "home", free_port)
    try:
        trained = modelyard("train", "titanic", "--source", url)
        assert trained.code == 0, trained.stderr
        assert trained.document["rows"]["read"] == 891
        again = modelyard("reproduce", "titanic", "1")
        assert again.code == 0, again.stderr
        assert again.document["equal"]
        files.path(url).unlink()
        gone = modelyard("reproduce", "titanic", "1")
        assert gone.code == 1
        assert "The data of version 1 are gone" in gone.document["error"]
    finally:
        modelyard("stop")


def large(folder: Path) -> Path:
    """A file that is sent in several parts."""
    file = folder / "large.bin"
    file.write_bytes(np.random.default_rng(0).bytes(80_000_000))
    return file


def uploading(file: Path, bucket: str, **changed: str) -> subprocess.Popen[str]:
    program = (
        "import sys; from training.upload import upload; from usecases.files import path;"
        "print(*upload([path(sys.argv[1])], path(sys.argv[2])))"
    )
    command = [sys.executable, "-c", program, str(file), bucket]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, env=os.environ | changed)


class Refusal(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_error(403)

    do_GET = do_HEAD  # noqa: N815 - the base class calls it so

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def refusing() -> Iterator[str]:
    """A server that knows nobody's key."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as endpoint:
        thread = threading.Thread(target=endpoint.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{endpoint.server_address[1]}"
        endpoint.shutdown()
        thread.join()
