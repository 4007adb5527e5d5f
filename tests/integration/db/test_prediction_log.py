"""The prediction log arrives in PostgreSQL: every row once, whatever dies, and whatever a row holds."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from db import migrate
from serving.log.shipper import Shipper
from serving.log.spool import Spool
from settings import PROJECT
from tests.integration.postgresql import servers
from tests.integration.postgresql.servers import Server, rows

IDS = "SELECT request_id FROM predictions"
LIMIT = 50_000_000


@pytest.fixture
def url(database: str) -> str:
    migrate.upgrade(database)
    return database


@pytest.fixture
def url_file(tmp_path: Path, url: str) -> Path:
    path = tmp_path / "url"
    path.write_text(f"{url}\n")
    return path


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", LIMIT, "taxi")


VALUES = [
    "plain",
    'a "quote"',
    "a\\backslash",
    "ends in \\",
    "a\ttab, a\nline\r\n",
    "é 東京 \U0001f695",
    r"\N",
]


@pytest.mark.parametrize("indent", [None, 2, "\t"])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_what_was_asked_and_answered_is_what_is_stored(
    spool: Spool, url: str, url_file: Path, indent: Any, ascii_only: bool
) -> None:
    at = time.time()
    for row, value in enumerate(VALUES):
        inputs = json.dumps({"name": value, "more": [row, None]}, indent=indent, ensure_ascii=ascii_only)
        spool.predicted("5f0c", row, at, 7, "4bf9", inputs.encode(), json.dumps(value).encode(), 0.25)
    _ship(spool, url_file)

    query = (
        "SELECT inputs, output, use_case, model_version, trace_id, seconds, at FROM predictions ORDER BY row"
    )
    stored = rows(url, query)
    assert [row[0] for row in stored] == [
        {"name": value, "more": [n, None]} for n, value in enumerate(VALUES)
    ]
    assert [row[1] for row in stored] == VALUES
    assert stored[0][2:6] == ("taxi", 7, "4bf9", 0.25)
    assert abs(stored[0][6].timestamp() - at) < 2e-6
    assert list(spool.folder.iterdir()) == []


def test_a_day_begins_with_a_partition_of_its_own(spool: Spool, url: str, url_file: Path) -> None:
    midnight = 1_764_201_600  # 2025-11-27 00:00:00 UTC
    for at in (midnight - 0.5, midnight, midnight + 0.5):
        spool.predicted(str(at), 0, at, 7, None, b"{}", b"{}", 0.1)
    _ship(spool, url_file)
    stored = rows(url, "SELECT tableoid::regclass::text, count(*) FROM predictions GROUP BY 1 ORDER BY 1")
    assert stored == [("predictions_20251126", 1), ("predictions_20251127", 2)]


def test_an_outcome_that_comes_twice_is_one_row_and_the_newest_counts(
    spool: Spool, url: str, url_file: Path
) -> None:
    now = time.time()
    for value, at in ((1.0, now), (3.0, now + 2), (2.0, now + 1)):
        spool.outcome("5f0c", 0, value, at)
    spool.outcome("5f0c", 1, float("nan"), now)
    _ship(spool, url_file)
    spool.outcome("5f0c", 0, 4.0, now - 1)
    spool.outcome("5f0c", 1, 5.0, now)
    _ship(spool, url_file)
    assert rows(url, "SELECT use_case, row, value FROM outcomes ORDER BY row") == [
        ("taxi", 0, 3.0),
        ("taxi", 1, 5.0),
    ]


def test_rows_that_the_database_refuses_are_put_aside_and_keep_no_other_back(
    spool: Spool, url: str, url_file: Path
) -> None:
    bad = {13, 14, 77}
    for row in range(100):
        inputs = b'{"n": 1e999999}' if row in bad else b'{"n": 1}'
        spool.predicted("5f0c", row, time.time(), 7, None, inputs, b"{}", 0.1)
    spool.outcome("no\x00name", 0, 1.0, time.time())
    spool.outcome("5f0c", 0, 1.0, time.time())
    shipper = _ship(spool, url_file)

    assert {row for (row,) in rows(url, "SELECT row FROM predictions")} == set(range(100)) - bad
    assert rows(url, "SELECT request_id FROM outcomes") == [("5f0c",)]
    assert (shipper.shipped, shipper.refused) == (98, 4)
    kept = [path.read_bytes() for path in sorted((spool.folder / "refused").iterdir())]
    assert [content.count(b"\n") for content in kept] == [1, 3]
    assert list(spool.folder.glob("*.rows")) == []


def test_of_refused_rows_a_tenth_of_the_spool_is_kept_so_that_others_have_room(
    tmp_path: Path, url: str, url_file: Path
) -> None:
    spool = Spool(tmp_path / "spool", 100_000, "taxi")
    for _ in range(8):
        for _ in range(25):
            spool.predicted("5f0c", 0, time.time(), 7, None, b'{"n": 1e999999}', b"{}", 0.1)
        assert _ship(spool, url_file).refused == 25
    kept = sum(path.stat().st_size for path in (spool.folder / "refused").iterdir())
    assert 7_000 < kept <= 10_000
    assert sum(spool.dropped.values()) == 0


def test_other_files_in_the_folder_are_left_alone(spool: Spool, url: str, url_file: Path) -> None:
    others = [spool.folder / name for name in ("metrics", "metrics.open", "notes.rows")]
    for other in others:
        other.touch()
    spool.predicted("5f0c", 0, time.time(), 7, None, b"{}", b"{}", 0.1)
    _ship(spool, url_file)
    assert rows(url, IDS) == [("5f0c",)]
    assert sorted(spool.folder.iterdir()) == sorted(others)


def test_a_segment_that_was_committed_before_a_crash_is_not_copied_again(
    spool: Spool, url: str, url_file: Path
) -> None:
    spool.predicted("5f0c", 0, time.time(), 7, None, b"{}", b"{}", 0.1)
    spool.close()
    (segment,) = spool.folder.iterdir()
    content = segment.read_bytes()
    _ship(spool, url_file)
    segment.write_bytes(content)
    _ship(spool, url_file)
    assert rows(url, IDS) == [("5f0c",)]
    assert not segment.exists()


def test_segments_are_forgotten_after_a_week(spool: Spool, url: str, url_file: Path) -> None:
    insert = "INSERT INTO shipped_segments (name, at) VALUES (%s, now() - make_interval(days => %s))"
    for days in (6, 8):
        rows(url, insert, f"{days} days ago", days)
    _ship(spool, url_file)
    assert rows(url, "SELECT name FROM shipped_segments") == [("6 days ago",)]


def test_workers_of_one_folder_ship_each_row_once(tmp_path: Path, url: str, url_file: Path) -> None:
    workers = [_worker(tmp_path / "spool", url_file, name, 5_000) for name in ("one", "two", "three")]
    for worker in workers:
        worker.communicate(timeout=60)
        assert worker.returncode == 0
    _ship(Spool(tmp_path / "spool", LIMIT, "taxi"), url_file)
    found = sorted(name for (name,) in rows(url, IDS))
    assert found == sorted(f"{name}-{number}" for name in ("one", "two", "three") for number in range(5_000))


@pytest.mark.slow
def test_a_worker_may_be_killed_at_any_moment(tmp_path: Path, url: str, url_file: Path) -> None:
    moments = random.Random(7)  # noqa: S311
    flushed: dict[str, int] = {}
    for name in (f"worker{number}" for number in range(12)):
        worker = _worker(tmp_path / "spool", url_file, name, 20_000)
        assert worker.stdout is not None
        worker.stdout.readline()
        with suppress(subprocess.TimeoutExpired):
            worker.wait(moments.uniform(0, 1.5))
        worker.kill()
        said = worker.stdout.read().split(b"\n")[:-1]
        flushed[name] = int(said[-1]) if said else 50
        worker.stdout.close()
        worker.wait()
    _ship(Spool(tmp_path / "spool", LIMIT, "taxi"), url_file)

    found = [name for (name,) in rows(url, IDS)]
    assert len(found) == len(set(found)), "none twice"
    for name, count in flushed.items():
        numbers = sorted(int(one.partition("-")[2]) for one in found if one.startswith(f"{name}-"))
        assert numbers == list(range(len(numbers))), "none between is missing"
        # What it flushed without having said so, or of which it flushed half, is one flush at most.
        assert count <= len(numbers) <= count + 50
    assert list((tmp_path / "spool").iterdir()) == []


def test_half_a_row_of_a_killed_worker_is_cut_off_and_counted(spool: Spool, url: str, url_file: Path) -> None:
    (spool.folder / "predictions.20251126.1764158400000000.dead.open").write_bytes(
        b"taxi\t2025-11-26 12:00:00+00\twhole\t0\t7\t\\N\t1e-6\t{}\t{}\ntaxi\t2025-11-26 12:0"
    )
    (spool.folder / "predictions.20251126.1764158400000001.dead.open").touch()
    _ship(spool, url_file)
    assert rows(url, IDS) == [("whole",)]
    assert spool.dropped["torn"] == 1
    assert list(spool.folder.iterdir()) == []


def test_nothing_is_lost_or_doubled_while_the_database_is_away(tmp_path: Path) -> None:
    with servers.running(tmp_path) as server:
        migrate.upgrade(server.url())
        spool, url_file = Spool(tmp_path / "spool", LIMIT, "taxi"), tmp_path / "url"
        url_file.write_text(server.url())
        with _shipping(spool, url_file) as shipper:
            _until(lambda: shipper.connected)
            written = _log(spool, 0, 500)
            server.stop("immediate")
            written = _log(spool, written, 1_500)
            _until(lambda: not shipper.connected)
            assert spool.waiting
            server.start()
            written = _log(spool, written, 2_000)
            server.restart()
            written = _log(spool, written, 2_500)
        _await_rows(server, spool, url_file, written)
        assert sorted(int(name) for (name,) in rows(server.url(), IDS)) == list(range(written))
        assert sum(spool.dropped.values()) == 0


def test_the_url_is_read_anew_so_that_a_password_can_change(
    spool: Spool, url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url_file = tmp_path / "url"
    before = url.replace("@", ":f0rmer-p@ssw0rd@")
    url_file.write_text(before)
    spool.predicted("5f0c", 0, time.time(), 7, None, b"{}", b"{}", 0.1)
    with _shipping(spool, url_file) as shipper:
        _until(lambda: bool(caplog.messages))
        assert not shipper.connected
        url_file.write_text("")
        _until(lambda: shipper._pause > 0.4)
        url_file.write_text(url)
        _until(lambda: shipper.connected)
    assert rows(url, IDS) == [("5f0c",)]
    assert "ssw0rd" not in caplog.text
    assert "f0rmer" not in caplog.text


def test_how_far_behind_it_is_can_be_seen(spool: Spool, url: str, url_file: Path, tmp_path: Path) -> None:
    with _shipping(spool, tmp_path / "no file") as waiting:
        spool.predicted("5f0c", 0, time.time(), 7, None, b"{}", b"{}", 0.1)
        spool.flush()
        _until(lambda: waiting.behind > 0.3)
        assert not waiting.connected
        assert spool.bytes > 0
    with _shipping(spool, url_file) as shipper:
        _until(lambda: shipper.shipped == 1 and shipper.behind == 0 and spool.bytes == 0)


def test_a_full_disk_costs_rows_and_nothing_else(
    tmp_path: Path, url: str, url_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with _small_disk(tmp_path / "disk") as disk:
        spool = Spool(disk, LIMIT, "taxi")
        for number in range(2_000):
            inputs = b'{"name": "%b"}' % (b"x" * 2_000)
            spool.predicted(str(number), 0, time.time(), 7, None, inputs, b"{}", 0.1)
            if number % 7 == 0:
                spool.flush()
        spool.flush()
        assert spool.dropped["disk"] > 0
        assert spool.written + spool.dropped["disk"] == 2_000
        assert any("No space left" in message for message in caplog.messages)
        assert _ship(spool, url_file).refused == 0, "no half of a row is left"
        _log(spool, 10_000, 10_010)
        _ship(spool, url_file)
    found = [int(name) for (name,) in rows(url, IDS)]
    assert len(found) == len(set(found)) == spool.written
    assert set(range(10_000, 10_010)) < set(found)


def _log(spool: Spool, first: int, end: int) -> int:
    for number in range(first, end):
        spool.predicted(str(number), 0, time.time(), 7, None, b'{"number": 1}', b"{}", 0.1)
        if number % 20 == 0:
            spool.flush()
            if number % 200 == 0:
                spool.close()
    spool.flush()
    return end


def _ship(spool: Spool, url_file: Path) -> Shipper:
    """Ship all that is there."""
    shipper = Shipper(spool, url_file)
    shipper.start()
    shipper.close(30)
    assert not shipper._thread.is_alive()
    return shipper


@contextmanager
def _shipping(spool: Spool, url_file: Path) -> Iterator[Shipper]:
    shipper = Shipper(spool, url_file)
    shipper.start()
    try:
        yield shipper
    finally:
        shipper.close(1)


def _await_rows(server: Server, spool: Spool, url_file: Path, count: int) -> None:
    _ship(spool, url_file)
    _until(lambda: rows(server.url(), "SELECT count(*) >= %s FROM predictions", count) == [(True,)])


def _worker(folder: Path, url_file: Path, name: str, count: int) -> subprocess.Popen[bytes]:
    script = PROJECT / "tests/integration/db/logging_worker.py"
    return subprocess.Popen(
        [sys.executable, str(script), str(folder), str(url_file), name, str(count)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(folder)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"A small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
