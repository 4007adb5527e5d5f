"""A server as a process of its own, and the load that wrk puts on it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

SCRIPT = Path(__file__).resolve().parent / "serving_peers" / "rows.lua"
HOST = "127.0.0.1"
START_SECONDS = 120
# What the servers get of this process's environment.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH")


@dataclass(frozen=True)
class Question:
    """A request of one row or many, as a server wants it."""

    path: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Load:
    """What wrk saw, and what the server used meanwhile."""

    rate: float
    """Answers a second."""
    p50: float
    """Milliseconds."""
    p99: float
    cpu: float
    """CPU seconds of the server's processes for 1,000 answers."""
    wrong: int
    """Requests that failed, or that got another status than 2xx or 3xx."""


@dataclass(frozen=True)
class Server:
    """A running server and the processes below it."""

    port: int
    process: psutil.Process
    seconds: float
    """From its start to its first answer."""

    def memory(self) -> list[float]:
        """Resident memory in MB of each process, the largest first."""
        return sorted((process.memory_info().rss / 1e6 for process in self._processes()), reverse=True)

    def cpu(self) -> float:
        """CPU seconds that its processes have used."""
        times = [process.cpu_times() for process in self._processes()]
        return sum(time.user + time.system for time in times)

    def ask(self, question: Question) -> bytes:
        """The answer to one request.

        Raises:
            OSError: it does not answer, or with another status than 200.
        """
        return ask(self.port, question)

    def load(self, bodies: Path, question: Question, connections: int, seconds: int) -> Load:
        """Let wrk ask the requests in the folder `bodies` in turns; `question` has their path and headers."""
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s"]
        environment = {"PATH": os.environ["PATH"], "BODIES": str(bodies)}
        names = {"Content-Type": "CONTENT_TYPE", "Authorization": "AUTHORIZATION"}
        environment |= {names[name]: value for name, value in question.headers.items()}
        before = self.cpu()
        ran = subprocess.run(
            [*command, "-s", SCRIPT, f"http://{HOST}:{self.port}{question.path}"],
            env=environment,
            capture_output=True,
            text=True,
        )
        used = self.cpu() - before
        if ran.returncode != 0:
            sys.exit(f"wrk ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
        found = json.loads(ran.stdout.splitlines()[-1])
        answers = max(found["requests"], 1)
        return Load(
            rate=found["requests"] / found["microseconds"] * 1e6,
            p50=found["p50"] / 1e3,
            p99=found["p99"] / 1e3,
            cpu=used / answers * 1e3,
            wrong=found["refused"] + found["broken"],
        )

    def _processes(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


def need_wrk() -> None:
    """End with what to install when wrk is missing."""
    if shutil.which("wrk") is None:
        sys.exit("The load comes from wrk, which is not on PATH; on Debian and Ubuntu: apt install wrk")


def write_bodies(folder: Path, bodies: Sequence[bytes]) -> Path:
    """The folder of requests that the script of wrk reads."""
    folder.mkdir(parents=True)
    for number, body in enumerate(bodies, 1):
        (folder / str(number)).write_bytes(body)
    return folder


@contextmanager
def serve(
    name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path, first: Question
) -> Iterator[Server]:
    """Run a server until it has answered `first` and the block ends.

    `{port}`, `{port2}` and `{port3}` in its command and environment become free ports; it listens at the
    first.
    """
    ports = dict(zip(("port", "port2", "port3"), _free_ports(3), strict=True))
    kept = {key: os.environ[key] for key in _ENVIRONMENT if key in os.environ}
    filled = {key: value.format(**ports) for key, value in environment.items()}
    with tempfile.TemporaryFile("w+") as output:
        begun = time.perf_counter()
        child = subprocess.Popen(
            [part.format(**ports) for part in command],
            cwd=folder,
            env={**kept, "OMP_NUM_THREADS": "1", "HOME": str(folder), **filled},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait(name, child, ports["port"], first, output)
            yield Server(ports["port"], psutil.Process(child.pid), time.perf_counter() - begun)
        finally:
            _stop(child)


def ask(port: int, question: Question) -> bytes:
    """The answer of whatever listens at a port of this machine.

    Raises:
        OSError: it does not answer, or with another status than 200.
    """
    with closing(http.client.HTTPConnection(HOST, port, timeout=30)) as connection:
        connection.request("POST", question.path, question.body, dict(question.headers))
        response = connection.getresponse()
        answer = response.read()
    if response.status in (400, 401, 403, 422):
        sys.exit(f"{question.path} refused {question.body[:500]!r} with {response.status}: {answer[:2000]!r}")
    if response.status != 200:
        raise OSError(f"{question.path} answered {response.status}: {answer[:500]!r}")
    return answer


def _wait(name: str, child: subprocess.Popen[bytes], port: int, first: Question, output: IO[str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    problem: Exception | None = None
    while child.poll() is None and time.monotonic() < deadline:
        try:
            ask(port, first)
            return
        except (OSError, http.client.HTTPException) as error:
            problem = error
            time.sleep(0.01)
    output.seek(0)
    state = "did not answer" if child.returncode is None else f"ended with {child.returncode}"
    sys.exit(f"{name} {state} within {START_SECONDS} s ({problem}):\n{output.read()[-4000:]}")


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End a server and everything that it started."""
    try:
        below = psutil.Process(child.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        below = []
    child.terminate()
    try:
        child.wait(20)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    for process in psutil.wait_procs(below, timeout=5)[1]:
        process.kill()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [listening.getsockname()[1] for listening in sockets]
    for listening in sockets:
        listening.close()
    return ports
