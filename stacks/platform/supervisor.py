"""Long-running services under one supervisor: started in order, restarted when they die, logs rotated.

The work is done by supervisord, which this module configures and talks to over a unix socket in the home
folder. It is a daemon of its own: it outlives the command that started it, and `stop` ends it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errors import ModelyardError
from settings import PROJECT

START_SECONDS = 20
STOP_SECONDS = 60
_SOCKET_BYTES = 107
"""Longest name of a unix socket; unix(7)."""


@dataclass(frozen=True)
class Service:
    """A Python module that is to run as a process."""

    name: str
    module: str


@dataclass(frozen=True)
class State:
    """How a service is."""

    name: str
    state: str
    """supervisord's word: `running`, `starting`, `backoff` (it died and will be started again), `stopped`."""
    pid: int | None
    since: float | None
    """Seconds since 1970."""


def start(home: Path, services: Sequence[Service]) -> None:
    """Start the supervisor with its services, in their order; returns once it takes commands.

    Raises:
        ModelyardError: it does not start, or the path of the home folder is too long for a socket.
    """
    folder = home / "platform"
    for made in (folder, home / "logs"):
        made.mkdir(parents=True, exist_ok=True)
    if len(os.fsencode(_socket(home))) > _SOCKET_BYTES:
        raise ModelyardError(
            f"The path {_socket(home)} is longer than the {_SOCKET_BYTES} bytes that a unix socket may have. "
            "Set MODELYARD_HOME to a shorter one."
        )
    configuration = folder / "supervisord.conf"
    configuration.write_text(_configuration(home, services))
    log = home / "logs" / "supervisor.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "--configuration", str(configuration)],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while not is_running(home):
        if process.poll() is not None or time.monotonic() > deadline:
            end = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
            raise ModelyardError(f"The supervisor did not start. The end of its log {log}:\n{end}")
        time.sleep(0.05)


def is_running(home: Path) -> bool:
    """Whether a supervisor of this home folder takes commands."""
    try:
        return bool(_call(home, "getState")["statename"] == "RUNNING")
    except (OSError, xmlrpc.client.Error):
        return False


def states(home: Path) -> list[State]:
    """How each service is, in the order of their start; none when no supervisor runs."""
    if not is_running(home):
        return []
    return [
        State(
            name=found["name"],
            state=str(found["statename"]).lower(),
            pid=found["pid"] or None,
            since=float(found["start"]) if found["pid"] else None,
        )
        for found in _call(home, "getAllProcessInfo")
    ]


def stop(home: Path) -> bool:
    """Stop the services in the reverse order of their start, then the supervisor; whether one ran.

    Raises:
        ModelyardError: it does not end.
    """
    if not is_running(home):
        return False
    pid = int(_call(home, "getPID"))
    for found in reversed(_call(home, "getAllProcessInfo")):
        if found["statename"] in ("RUNNING", "STARTING", "BACKOFF"):
            _call(home, "stopProcess", found["name"])
    _call(home, "shutdown")
    deadline = time.monotonic() + STOP_SECONDS
    while Path(f"/proc/{pid}").exists() and is_running(home):
        if time.monotonic() > deadline:
            raise ModelyardError(f"The supervisor, process {pid}, does not end.")
        time.sleep(0.05)
    return True


def log_file(home: Path, name: str) -> Path:
    """Where a service's output goes; earlier output is in files with `.1`, `.2` … behind it."""
    return home / "logs" / f"{name}.log"


def _configuration(home: Path, services: Sequence[Service]) -> str:
    lines = [
        "[unix_http_server]",
        f"file={_quoted(_socket(home))}",
        "chmod=0600",
        "[supervisord]",
        "nodaemon=true",
        "silent=true",
        f"logfile={_quoted(log_file(home, 'supervisor'))}",
        "logfile_maxbytes=1MB",
        "logfile_backups=2",
        f"pidfile={_quoted(home / 'platform' / 'supervisord.pid')}",
        *(["user=root"] if os.geteuid() == 0 else []),
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for order, service in enumerate(services):
        lines += [
            f"[program:{service.name}]",
            f"command={_quoted(sys.executable)} -m {service.module}",
            f"directory={_quoted(PROJECT)}",
            f"priority={order}",
            "autorestart=true",
            # One that dies sooner than this is started again later and later.
            "startsecs=5",
            "startretries=1000000",
            "stopwaitsecs=20",
            "stopasgroup=true",
            "killasgroup=true",
            "redirect_stderr=true",
            f"stdout_logfile={_quoted(log_file(home, service.name))}",
            "stdout_logfile_maxbytes=5MB",
            "stdout_logfile_backups=3",
        ]
    return "\n".join(lines) + "\n"


def _quoted(value: object) -> str:
    """supervisord takes `%(name)s` in values for its own variables."""
    return str(value).replace("%", "%%")


def _socket(home: Path) -> Path:
    return home / "platform" / "supervisor.socket"


def _call(home: Path, method: str, *arguments: Any) -> Any:
    from supervisor.xmlrpc import SupervisorTransport

    transport = SupervisorTransport(None, None, f"unix://{_socket(home)}")
    server = xmlrpc.client.ServerProxy("http://localhost", transport=transport)
    return getattr(server.supervisor, method)(*arguments)
