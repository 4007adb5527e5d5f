"""SQLite, PostgreSQL and MariaDB, each in a folder of its own and as its users get it; gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pymysql

from db import embedded

DATABASE = "zenml"
SECONDS = 60


@contextmanager
def sqlite(folder: Path) -> Iterator[str]:
    """URL of a file that is not there yet."""
    yield f"sqlite:///{folder}/{DATABASE}.db"


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """URL of an empty database on an embedded server with the settings that users get."""
    server = embedded.ensure_running(folder)
    os.environ["PGPASSWORD"] = server.password.get_secret_value()
    url = f"postgresql://{server.user}@{server.host}:{server.port}"
    try:
        with closing(psycopg2.connect(f"{url}/postgres")) as connection:
            connection.autocommit = True
            connection.cursor().execute(f"CREATE DATABASE {DATABASE}")
        yield f"{url}/{DATABASE}"
    finally:
        embedded.stop(folder)


@contextmanager
def mariadb(folder: Path) -> Iterator[str]:
    """URL of an empty database on a server with MariaDB's defaults."""
    port, password = _free_port(), "benchmark"
    data, socket_ = folder / "data", folder / "socket"
    first = folder / "first.sql"
    first.write_text(
        f"CREATE USER benchmark@'127.0.0.1' IDENTIFIED BY '{password}';\n"
        "GRANT ALL ON *.* TO benchmark@'127.0.0.1';\n"
        f"CREATE DATABASE {DATABASE};\n"
    )
    user = _ordinary_user(folder)
    install = [
        "mariadb-install-db",
        "--no-defaults",
        f"--datadir={data}",
        "--auth-root-authentication-method=normal",
    ]
    with (folder / "log").open("w") as log:
        subprocess.run([*install, *user], stdout=log, stderr=log, check=True)
        server = subprocess.Popen(
            [
                *(_program("mariadbd"), "--no-defaults", *user, f"--datadir={data}", f"--socket={socket_}"),
                *("--bind-address=127.0.0.1", f"--port={port}", f"--init-file={first}"),
                f"--pid-file={folder / 'pid'}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(port, password, server)
        yield f"mysql://benchmark:{password}@127.0.0.1:{port}/{DATABASE}"
    finally:
        server.terminate()
        server.wait(timeout=SECONDS)


def has_mariadb() -> bool:
    """Whether MariaDB's server is installed; Debian's package is mariadb-server."""
    return bool(_program("mariadbd") and _program("mariadb-install-db"))


def _program(name: str) -> str:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") or ""


def _ordinary_user(folder: Path) -> list[str]:
    """Which user the server runs as when root starts it; the folder is its own then."""
    if os.geteuid() != 0:
        return []
    names = {user.pw_name: user for user in pwd.getpwall()}
    user = names.get("mysql") or names["nobody"]
    os.chown(folder, user.pw_uid, user.pw_gid)
    return [f"--user={user.pw_name}"]


def _wait_for(port: int, password: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            pymysql.connect(
                host="127.0.0.1", port=port, user="benchmark", password=password, database=DATABASE
            ).close()
        except pymysql.err.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
