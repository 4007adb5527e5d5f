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
from db.session import advisory_lock
with advisory_lock(sys.argv[1], sys.argv[2]):
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
        pytest.raises(DatabaseError, match="train taxi"),
        advisory_lock(database, "train taxi"),
    ):
        pytest.fail("two processes held the lock")


def test_another_name_is_another_lock(database: str, holder: subprocess.Popen[str]) -> None:
    with advisory_lock(database, "train titanic"):
        assert holder.poll() is None


def test_a_killed_holder_gives_it_back(database: str, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()

    # The server notices the end of the connection by itself.
    with advisory_lock(database, "train taxi", wait=True):
        pass


def test_it_is_free_again_after_the_block_even_when_that_raises(database: str) -> None:
    with pytest.raises(ZeroDivisionError), advisory_lock(database, "train taxi"):
        raise ZeroDivisionError
    with advisory_lock(database, "train taxi"):
        pass


def test_it_is_held_however_soon_the_server_ends_transactions_that_stay_open(database: str) -> None:
    with connect(database) as connection:
        name = connection.engine.url.database
        connection.execute(text(f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '50ms'"))
        with advisory_lock(database, "train taxi"):
            connection.execute(text("SELECT pg_sleep(0.5)"))
            with pytest.raises(DatabaseError), advisory_lock(database, "train taxi"):
                pytest.fail("it was given away")


def test_work_whose_connection_broke_off_ends_well(database: str) -> None:
    """A server that restarts takes the lock with it, and the hour of training that it guarded is done."""
    with connect(database) as connection, advisory_lock(database, "train taxi"):
        ended = connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        )
        assert ended.all() == [(True,)]
