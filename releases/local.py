"""The local target: an endpoint is a detached process on this machine that outlives the command.

A use case keeps its address from release to release: the listening socket is handed from the process that
serves to the one that will (serving/process.py has the picture).
"""

from __future__ import annotations

import hashlib
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import psutil

from errors import ReleaseError
from serving import client
from serving.logs import readable
from serving.process import DRAIN_SECONDS, GIVEN, SHUTDOWN_SECONDS, short

TARGET = "local"
READY_SECONDS = 60.0
# What an endpoint may know of the environment that it was started from: no password is among it.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "VIRTUAL_ENV", "LD_LIBRARY_PATH")


@dataclass(frozen=True)
class Process:
    """A process of this machine; the time of its start tells it from a later one with the same number."""

    pid: int
    started: float
    """Seconds since 1970."""


@dataclass(frozen=True)
class Candidate:
    """An endpoint process that only its release can reach yet."""

    process: Process
    address: str
    """URL of its private socket."""
    log: Path
    key: str
    """What it lets its release ask by, whatever keys it demands of others."""
    release: socket.socket
    _child: subprocess.Popen[bytes]

    def wait_until_ready(self) -> None:
        """Return once it has proved its answers.

        Raises:
            ReleaseError: it ended, or took more than `READY_SECONDS`.
        """
        deadline = monotonic() + READY_SECONDS
        with client.connect(self.address) as endpoint:
            while not endpoint.is_ready():
                if self._child.poll() is not None:
                    raise ReleaseError(
                        f"The endpoint ended with code {self._child.returncode} before it was ready. "
                        f"The end of its log {self.log}:\n{_tail(self.log)}"
                    )
                if monotonic() > deadline:
                    raise ReleaseError(
                        f"The endpoint was not ready after {READY_SECONDS:.0f} s. "
                        f"The end of its log {self.log}:\n{_tail(self.log)}"
                    )
                sleep(0.05)

    def go_public(self, public: socket.socket) -> None:
        """Let it serve `public`, beside whoever serves that socket now.

        Raises:
            ReleaseError: it ended meanwhile.
        """
        try:
            socket.send_fds(self.release, [GIVEN], [public.fileno()])
            answered = self.release.recv(len(GIVEN))
        except OSError as error:
            raise ReleaseError(f"The endpoint ended while it was given its address: {error}") from error
        if answered != GIVEN:
            raise ReleaseError(
                f"The endpoint ended while it was given its address. Its log:\n{_tail(self.log)}"
            )


@contextmanager
def start(bento: Path, door: Path, log: Path, around: Mapping[str, str]) -> Iterator[Candidate]:
    """Start the Bento in the folder `bento` as a detached process; it is stopped when the block raises.

    `around` are environment variables that tell it where its keys, its state and its log are.

    It also ends by itself when this process dies before it was given a public address.
    """
    for folder in (door.parent, log.parent):
        folder.mkdir(parents=True, exist_ok=True)
    door.unlink(missing_ok=True)
    if log.exists():
        log.replace(log.with_name(f"{log.name}.1"))
    key = secrets.token_urlsafe(32)
    verifier = {"MODELYARD_ENDPOINT_VERIFIER": hashlib.sha256(key.encode()).hexdigest()}
    ours, theirs = socket.socketpair()
    with ours:
        with theirs, _listen("127.0.0.1", 0) as private, log.open("wb") as output:
            address = f"http://127.0.0.1:{private.getsockname()[1]}"
            child = subprocess.Popen(
                _command(bento, door, private, theirs),
                # The Bento's own code is served, not that of this working tree.
                cwd=bento / "src",
                env={**_environment(), **around, **verifier},
                pass_fds=[private.fileno(), theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        process = Process(child.pid, psutil.Process(child.pid).create_time())
        try:
            yield Candidate(process, address, log, key, ours, child)
        except BaseException:
            child.terminate()
            child.wait()
            door.unlink(missing_ok=True)
            raise


def _command(bento: Path, door: Path, private: socket.socket, release: socket.socket) -> list[str]:
    sockets = ["--private", str(private.fileno()), "--release", str(release.fileno())]
    return [sys.executable, "-m", "serving.process", str(bento), *sockets, "--lend", str(door)]


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    # One thread a prediction: more only fight for the cores. Told before numpy is imported.
    return kept | {"OMP_NUM_THREADS": "1", "BENTOML_DO_NOT_TRACK": "true", "PYTHONUNBUFFERED": "1"}


def public_socket(host: str, ports: list[int]) -> socket.socket:
    """A listening socket at the first of `ports` that is free.

    Raises:
        ReleaseError: none is.
    """
    for port in ports:
        try:
            return _listen(host, port)
        except OSError:
            continue
    wanted = f"Port {ports[0]}" if len(ports) == 1 else f"None of the ports {ports[0]} to {ports[-1]}"
    raise ReleaseError(
        f"{wanted} of {host} is {'taken' if len(ports) == 1 else 'free'}; "
        "set MODELYARD_ENDPOINT_PORT to another first port."
    )


def borrow(door: Path) -> socket.socket:
    """The public socket of the endpoint whose door this is.

    Raises:
        ReleaseError: it doesn't answer.
    """
    try:
        with socket.socket(socket.AF_UNIX) as caller, short(door) as name:
            caller.settimeout(10)
            caller.connect(name)
            message, descriptors, _, _ = socket.recv_fds(caller, len(GIVEN), 1)
    except OSError as error:
        raise ReleaseError(f"The endpoint that serves now does not hand on its address: {error}") from error
    if message != GIVEN or not descriptors:
        raise ReleaseError("The endpoint that serves now does not hand on its address: it ended.")
    return socket.socket(fileno=descriptors[0])


def is_running(process: Process) -> bool:
    """Whether this very process runs."""
    return _find(process) is not None


def stop(process: Process) -> bool:
    """Let the process answer what it has begun, then end it; whether it ran."""
    found = _find(process)
    if found is None:
        return False
    found.send_signal(signal.SIGTERM)
    try:
        found.wait(DRAIN_SECONDS + SHUTDOWN_SECONDS + 5)
    except psutil.TimeoutExpired:
        found.kill()
        found.wait(10)
    return True


def _find(process: Process) -> psutil.Process | None:
    try:
        found = psutil.Process(process.pid)
        same = abs(found.create_time() - process.started) < 0.02
        return found if same and found.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def _listen(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((host, port), family=family, backlog=2048)


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-15:]
    return "\n".join(f"  {line}" for told in lines for line in readable(told).splitlines())
