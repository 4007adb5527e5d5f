"""PgBouncer in front of a server of the tests, where each transaction may have another connection."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

from tests.integration.postgresql.servers import SECONDS, Server, as_server_user, free_port, own, rows

PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
needed = pytest.mark.skipif(PROGRAM is None, reason="PgBouncer is not here: install the package pgbouncer.")


@contextmanager
def running(server: Server, folder: Path, **settings: str) -> Iterator[int]:
    """Its port; every database of the server is behind it."""
    assert PROGRAM
    port = free_port()
    settings = _settings(port, folder) | settings
    lines = [f"{name} = {value}" for name, value in settings.items()]
    target = f"* = host=127.0.0.1 port={server.port}"
    (folder / "users").write_text('"tests" ""\n')
    (folder / "pgbouncer.ini").write_text("\n".join(["[databases]", target, "[pgbouncer]", *lines, ""]))
    own(folder)
    # It does not run as root, as PostgreSQL doesn't.
    with subprocess.Popen(
        [*as_server_user(), PROGRAM, "--quiet", str(folder / "pgbouncer.ini")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            _await(process, port, folder / "log")
            yield port
        finally:
            process.kill()


def _settings(port: int, folder: Path) -> dict[str, str]:
    return {
        "listen_addr": "127.0.0.1",
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_type": "trust",
        "auth_file": str(folder / "users"),
        "admin_users": "tests",
        "logfile": str(folder / "log"),
        "pool_mode": "transaction",
    }


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            rows(f"postgresql://tests@127.0.0.1:{port}/pgbouncer", "SHOW VERSION")
        except psycopg2.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(log.read_text()) from None
            time.sleep(0.05)
        else:
            return
