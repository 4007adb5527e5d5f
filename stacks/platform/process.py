"""What the processes of the platform share: how they end, what they log, and errors in one form."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from collections.abc import Callable

from errors import ModelyardError

_PR_SET_PDEATHSIG = 1
_TERMINATED = 128 + signal.SIGTERM


def run(work: Callable[[], None]) -> None:
    """Do `work`; SIGTERM ends it, and an error of ours is its message and its exit code."""
    if os.getpid() == 1:
        # A container's first process gets only signals that it has a handler for. This does what the kernel
        # does with others': an exception would be lost wherever Python ignores those, such as in a finalizer.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(_TERMINATED))
    try:
        work()
    except ModelyardError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


def in_pod() -> bool:
    """Whether this process runs in a pod of Kubernetes."""
    return "KUBERNETES_SERVICE_HOST" in os.environ


def end_with_parent() -> None:
    """Let the kernel send SIGTERM to this process when its parent dies, be it by kill -9.

    Otherwise a killed supervisor would leave servers behind that hold the ports of the next one's.
    See prctl(2); on other systems than Linux nothing is done. Nor is it in a container, whose parent is
    outside of it: a thread of the container's runtime, which may end while the container goes on.
    """
    parent = os.getppid()
    if not hasattr(os, "pidfd_open") or parent == 0:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def log_to_stdout() -> None:
    """In a pod, all messages from info up as lines on stdout; elsewhere what the libraries make of it."""
    if in_pod():
        form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
        logging.basicConfig(stream=sys.__stdout__, level=logging.INFO, format=form, force=True)
