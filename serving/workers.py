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

_CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")
_SOON = 5.0
"""A worker that ends within these seconds of its start is broken; starting it again would hide that."""

logger = logging.getLogger("modelyard.endpoint")


def count() -> int:
    """Workers for this container: one a core of its CPU limit; one without, as others share the node."""
    asked = os.environ.get("MODELYARD_ENDPOINT_WORKERS")
    return int(asked) if asked else whole_cores(_CPU_LIMIT)


def whole_cores(limit: Path) -> int:
    """Whole cores that a control group's `cpu.max` allows, at least one."""
    try:
        quota, period = limit.read_text().split()
    except FileNotFoundError:
        return 1
    return 1 if quota == "max" else max(1, int(quota) // int(period))


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
