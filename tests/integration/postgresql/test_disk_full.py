"""PostgreSQL's disk is full: who writes is told so, and with space again all is there and goes on."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.integration.postgresql import servers
from tests.integration.postgresql.servers import Server, rows

MEGABYTES = 160
RUNS = "SELECT name, status FROM pipeline_run"


@dataclass(frozen=True)
class Disk:
    """A small disk."""

    folder: Path

    def fill(self) -> None:
        """Take all the space that is left."""
        with (self.folder / "ballast").open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"\0" * 4096)

    def clear(self) -> None:
        """Give it back."""
        (self.folder / "ballast").unlink()


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    folder = tmp_path_factory.mktemp("disk")
    size = ("-o", f"size={MEGABYTES}m,mode=0700")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", *size, "tmpfs", str(folder)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"A small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607


@dataclass(frozen=True)
class Story:
    """What was seen on a disk that was full twice: at a table's end, and at the log's of all changes."""

    server: Server
    before: list[tuple[Any, ...]]
    writer: str
    """What a process said that wrote meanwhile."""
    waiter: str
    """What a process printed whose step went on over all of it."""


@pytest.fixture(scope="module")
def story(disk: Disk, start: Any) -> Iterator[Story]:
    (disk.folder / "server").mkdir()
    with servers.running(disk.folder / "server") as server:
        url = server.url()
        start("working", url).ended()
        waiter = start("training", url, "long")
        waiter.ready()
        writer = start("working", url, "full", "1", "1000")
        writer.ready()
        before = rows(url, RUNS)

        disk.fill()
        writer.go()
        writer.process.wait(timeout=60)
        disk.clear()
        assert writer.process.returncode

        disk.fill()
        with pytest.raises(psycopg2.OperationalError):
            _begin_new_logs(url)
        disk.clear()
        _bring_back(server)

        waiter.go()
        yield Story(server, before, writer.log.read_text(), waiter.ended())


def test_who_writes_is_told_what_to_do(story: Story) -> None:
    assert "psycopg2.errors.DiskFull" in story.writer
    assert "No space left on device\nHINT:  Check free disk space." in story.writer


def test_a_run_goes_on_when_postgresql_fell_and_came_back_meanwhile(story: Story) -> None:
    assert re.search("PANIC: .*No space left on device", story.server.log())
    assert story.waiter == "long: completed\n"


def test_what_was_stored_is_there_and_whole_and_the_next_process_works(story: Story, start: Any) -> None:
    url = story.server.url()
    next_one = start("working", url, "after", "1", "2")
    next_one.ready()
    next_one.go()
    next_one.ended()
    after = dict(rows(url, RUNS))
    assert set(dict(story.before)) <= set(after)
    assert (after["first"], after["after 0 0"], after["after 0 1"]) == ("completed", "failed", "failed")
    story.server.check()


def _begin_new_logs(url: str) -> None:
    while True:
        rows(url, "SELECT pg_switch_wal(), pg_current_xact_id()")


def _bring_back(server: Server) -> None:
    """Wait until it has recovered; start it if it gave up while there was no space."""
    deadline = time.monotonic() + servers.SECONDS
    while True:
        try:
            rows(server.url(), "SELECT 1")
        except psycopg2.OperationalError:
            assert time.monotonic() < deadline, server.log()[-3_000:]
            if not server.runs:
                server.start()
            time.sleep(0.05)
        else:
            return
