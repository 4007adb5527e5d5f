"""`up`, `logs` and `open`: PostgreSQL, both pages and the endpoints as one supervised platform."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from errors import ModelyardError, UsageError
from stacks import pages

if TYPE_CHECKING:
    from console.progress import Progress
    from settings import Settings

Document = dict[str, Any]

READY_SECONDS = 120


def up(settings: Settings, progress: Progress) -> Document:
    """Start the platform, unless it runs; returns once every service answers.

    Raises:
        ModelyardError: a port is taken, or a service does not answer in time.
    """
    from stacks.platform import credentials, supervisor
    from stacks.platform.migrate import make_tables

    began = time.monotonic()
    with _alone(settings):
        running = supervisor.is_running(settings.home)
        if not running:
            _check_ports(settings)
        login, made = credentials.ensure(settings)
        if not running:
            with progress.stage("PostgreSQL and its tables"):
                make_tables(settings, login)
            supervisor.start(settings.home, _services())
    with progress.stage("pages and endpoints"):
        _wait_until_ready(settings)
    document: Document = {
        "services": services(settings),
        "already_running": running,
        "seconds": round(time.monotonic() - began, 1),
        "username": login.username,
        "password_file": None if settings.password else str(credentials.path(settings.home)),
    }
    # Shown once, when it was made; later it is in its file.
    return document | ({"password": login.password.get_secret_value()} if made else {})


def services(settings: Settings) -> list[Document]:
    """Each service of the platform, with its processes' memory; none when it is down."""
    from stacks.platform import supervisor

    addresses = pages.addresses(settings)
    return [
        {
            "service": found.name,
            "state": found.state,
            "pid": found.pid,
            "address": addresses.get(found.name),
            "ready": _answers(addresses[found.name]) if found.name in addresses else found.state == "running",
            "since": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found.since)) if found.since else None,
            "memory_mb": _memory(found.pid),
            "log": str(supervisor.log_file(settings.home, found.name)),
        }
        for found in supervisor.states(settings.home)
    ]


def stay() -> None:
    """Keep this process, and the ports that it forwards, until Ctrl-C."""
    with suppress(KeyboardInterrupt):
        threading.Event().wait()


def watch(settings: Settings) -> None:
    """Show how the services are until Ctrl-C or until somebody else stops them."""
    from rich.live import Live

    from console import reports
    from stacks.platform import supervisor

    def shown() -> Any:
        return reports.services({"services": services(settings)})

    with suppress(KeyboardInterrupt), Live(shown(), refresh_per_second=1, transient=True) as live:
        while supervisor.is_running(settings.home):
            time.sleep(1)
            live.update(shown())


def logs(settings: Settings, service: str, *, follow: bool, as_json: bool) -> None:
    """Print the log of a service, and with `follow` what comes to it until Ctrl-C.

    Raises:
        UsageError: there is no such log.
    """
    folder = settings.home / "logs"
    there = {path.stem: path for path in sorted(folder.glob("*.log"))}
    there |= {"postgresql": settings.home / "postgresql" / "log"}
    path = there.get(service)
    if path is None or not path.exists():
        raise UsageError(
            f"There is no log of {service!r}; there are: {', '.join(sorted(there)) or 'none yet'}."
        )
    if as_json:
        from console.command import print_json

        print_json(
            {"service": service, "file": str(path), "lines": path.read_text(errors="replace").splitlines()}
        )
        return
    with suppress(KeyboardInterrupt):
        for line in _lines(path, follow=follow):
            sys.stdout.write(line)
            sys.stdout.flush()


def open_pages(settings: Settings, stack: str) -> Document:
    """Open both pages in the browser; those of a cluster are there as long as this process is.

    Raises:
        UsageError: this machine's platform is down.
        StackError: a cluster's is out of reach.
    """
    import webbrowser

    from stacks import spec

    if spec.read(spec.named(stack)).platform == "kubernetes":
        from stacks.kubernetes.cluster import connect

        found = connect(settings)
        return {
            "opened": {address: webbrowser.open(address) for address in (found.zenml, found.mlflow)},
            "login": f"kubectl --namespace {found.namespace} get secret {found.connection.login_secret} "
            "--output jsonpath='{.data.password}' | base64 --decode",
        }

    from stacks.platform import supervisor

    if not supervisor.is_running(settings.home):
        raise UsageError("The platform is down. Start it: python run.py up --detach")
    addresses = pages.addresses(settings)
    return {"opened": {address: webbrowser.open(address) for address in addresses.values()}}


def _services() -> list[Any]:
    from stacks.platform.supervisor import Service

    return [
        Service("keeper", "console.keeper"),
        Service("zenml", "stacks.platform.zenml_server"),
        Service("mlflow", "stacks.platform.mlflow_server"),
    ]


def _wait_until_ready(settings: Settings) -> None:
    from stacks.platform import supervisor

    deadline = time.monotonic() + READY_SECONDS
    while True:
        late = [one for one in services(settings) if not one["ready"]]
        if not late and not _silent_endpoints(settings):
            return
        if not supervisor.is_running(settings.home):
            raise ModelyardError(
                "The supervisor of the platform ended, and its services with it. "
                f"Its log: {supervisor.log_file(settings.home, 'supervisor')}"
            )
        if time.monotonic() > deadline:
            names = [str(one["service"]) for one in late] or _silent_endpoints(settings)
            raise ModelyardError(
                f"After {READY_SECONDS} s there is no answer from {', '.join(names)}. "
                f"Look at: python run.py logs {names[0]}"
            )
        time.sleep(0.1)


def _silent_endpoints(settings: Settings) -> list[str]:
    """Use cases whose endpoint is on record and doesn't answer."""
    from db import releases as record
    from db.databases import prepare
    from releases import release
    from releases.local import TARGET

    serving = record.all_serving(prepare(settings).modelyard, TARGET)
    return [f"{one.use_case}-{one.id}" for one in serving if not release.is_ready(one)]


def _answers(address: str) -> bool:
    import httpx

    try:
        return httpx.get(f"{address}/health", timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _check_ports(settings: Settings) -> None:
    """Refuse a port that somebody holds, and say who.

    Raises:
        ModelyardError: one is taken.
    """
    import socket

    wanted = {
        "MODELYARD_DASHBOARD_PORT": settings.dashboard_port,
        "MODELYARD_MLFLOW_PORT": settings.mlflow_port,
    }
    for setting, port in wanted.items():
        try:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((settings.platform_host, port))
        except OSError as error:
            raise ModelyardError(
                f"Port {port} of {settings.platform_host} is taken: {_holder(port) or error.strerror}. "
                f"End it, or set {setting} to another port."
            ) from None


def _holder(port: int) -> str | None:
    """Who listens on a port, as far as this user may know."""
    import psutil

    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and tuple(connection.laddr)[1:2] == (port,):
            if connection.pid is None:
                return "a process of another user listens there"
            process = psutil.Process(connection.pid)
            return f"process {process.pid} listens there ({' '.join(process.cmdline())[:100]})"
    return None


def _memory(pid: int | None) -> float | None:
    """Resident memory of a process and its children, in MB; pages that they share count for each."""
    import psutil

    if pid is None:
        return None
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return round(sum(one.memory_info().rss for one in family) / 1e6, 1)
    except psutil.NoSuchProcess:
        return None


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """One `up` at a time."""
    import fcntl

    folder = settings.home / "platform"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _lines(path: Path, *, follow: bool) -> Iterator[str]:
    file = path.open(errors="replace")
    try:
        while True:
            yield from file
            if not follow:
                return
            time.sleep(0.2)
            # Rotated: the name is another file's now.
            if path.exists() and path.stat().st_ino != os.fstat(file.fileno()).st_ino:
                file.close()
                file = path.open(errors="replace")
    finally:
        file.close()
