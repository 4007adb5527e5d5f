"""A MariaDB server of the tests' own, to be moved from."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymysql
import pytest

from tests.integration.postgresql.servers import SECONDS, free_port

_PATHS = f"{os.environ['PATH']}:/usr/sbin"
_INSTALL = shutil.which("mariadb-install-db", path=_PATHS)
PROGRAM = shutil.which("mariadbd", path=_PATHS)
needed = pytest.mark.skipif(
    PROGRAM is None, reason="MariaDB is not here: install the package mariadb-server."
)


@contextmanager
def running(folder: Path, password: str) -> Iterator[str]:
    """URL, without the password, of an empty database."""
    assert PROGRAM
    assert _INSTALL
    port, first = free_port(), folder / "first.sql"
    first.write_text(
        f"CREATE USER tests@'127.0.0.1' IDENTIFIED BY '{password}';\n"
        "GRANT ALL ON *.* TO tests@'127.0.0.1';\n"
        # Where names may differ in case alone.
        "CREATE DATABASE zenml COLLATE utf8mb4_bin;\n"
    )
    as_root = ["--user=root"] if os.geteuid() == 0 else []
    data = f"--datadir={folder / 'data'}"
    with (folder / "log").open("w") as log:
        subprocess.run([_INSTALL, "--no-defaults", data, *as_root], stdout=log, stderr=log, check=True)
        options = [f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder / 's'}"]
        files = [f"--init-file={first}", f"--pid-file={folder / 'pid'}"]
        server = subprocess.Popen(
            [PROGRAM, "--no-defaults", data, *as_root, *options, *files], stdout=log, stderr=log
        )
    try:
        _await(server, port, password, folder / "log")
        yield f"mysql://tests@127.0.0.1:{port}/zenml"
    finally:
        server.terminate()
        server.wait(timeout=SECONDS)


def _await(server: subprocess.Popen[bytes], port: int, password: str, log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            pymysql.connect(
                host="127.0.0.1", port=port, user="tests", password=password, database="zenml"
            ).close()
        except pymysql.err.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(log.read_text()) from None
            time.sleep(0.1)
        else:
            return
