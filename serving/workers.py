"""Several processes that serve one address: as many as the container may use cores."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_CPU_LIMIT = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))
"""Files with a quota and its period: of control groups of version 2, and of version 1."""
_SOON = 5.0
"""A worker that ends within these seconds of its start is broken; starting it again would hide that."""

logger = logging.getLogger("modelyard.endpoint")


def count() -> int:
    """Workers for this container: one a core of its CPU limit; one without, as others share the node."""
    asked = os.environ.get("MODELYARD_ENDPOINT_WORKERS")
    return int(asked) if asked else whole_cores(_GROUPS)


def whole_cores(groups: Path) -> int:
    """Whole cores that the control groups mounted at `groups` allow, at least one."""
    for names in _CPU_LIMIT:
        try:
            quota, period = " ".join((groups / name).read_text() for name in names).split()
        except FileNotFoundError:
            continue
        return 1 if quota in ("max", "-1") else max(1, int(quota) // int(period))
    return 1


def run(bento: Path, host: str, port: int, workers: int) -> int:
    """Serve by `workers` processes until SIGTERM, each started anew when it dies; returns the exit code."""
    listening = socket.create_server((host, port), backlog=2048)
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    running = [_start(bento, listening) for _ in range(workers)]
    code = 0
    while not stopping:
        # A signal interrupts nothing here, as SIGTERM is handled: so it is looked for.
        time.sleep(0.1)
        for index, (child, started) in enumerate(running):
            if child.poll() is None:
                continue
            if time.monotonic() - started < _SOON:
                logger.error("A worker ended with code %s as soon as it had started", child.returncode)
                stopping, code = True, 1
                break
            logger.error("A worker ended with code %s; another is started", child.returncode)
            running[index] = _start(bento, listening)
    for child, _ in running:
        child.terminate()
    for child, _ in running:
        child.wait()
    return code


def _start(bento: Path, listening: socket.socket) -> tuple[subprocess.Popen[bytes], float]:
    descriptor = listening.fileno()
    command = [sys.executable, "-m", "serving.process", str(bento), "--listen", str(descriptor)]
    return subprocess.Popen(command, pass_fds=[descriptor]), time.monotonic()
