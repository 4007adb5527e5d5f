"""Locks that one process at a time holds, and that nobody has to clear away after a kill."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from db.session import advisory_lock, connect
from errors import DatabaseError

PROJECT = Path(__file__).parents[3]

HOLD = """
import sys
from db.session import advisory_lock, connect
with connect(sys.argv[1]) as connection, advisory_lock(connection, sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(database: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock `train taxi` until its stdin ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, database, "train taxi"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_held_lock_is_refused_at_once_and_named(database: str, holder: subprocess.Popen[str]) -> None:
    with (
        connect(database) as connection,
        pytest.raises(DatabaseError, match="train taxi"),
        advisory_lock(connection, "train taxi"),
    ):
        pytest.fail("two processes held the lock")


def test_another_name_is_another_lock(database: str, holder: subprocess.Popen[str]) -> None:
    with connect(database) as connection, advisory_lock(connection, "train titanic"):
        assert holder.poll() is None


def test_a_killed_holder_gives_it_back(database: str, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()

    with connect(database) as connection:
        # The server notices the end of the connection by itself; waiting in its queue is enough.
        connection.execute(text("SET statement_timeout = '30s'"))
        with advisory_lock(connection, "train taxi", wait=True):
            pass


def test_it_is_free_again_after_the_block_even_when_that_raises(database: str) -> None:
    with connect(database) as first, connect(database) as second:
        with pytest.raises(ZeroDivisionError), advisory_lock(first, "train taxi"):
            raise ZeroDivisionError
        with advisory_lock(second, "train taxi"):
            pass
