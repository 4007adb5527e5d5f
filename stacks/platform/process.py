"""What the processes of the platform share: they end with their supervisor, and take secrets from files."""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Let the kernel send SIGTERM to this process when its parent dies, be it by kill -9.

    Otherwise a killed supervisor would leave servers behind that hold the ports of the next one's.
    See prctl(2); on other systems than Linux nothing is done.
    """
    if not hasattr(os, "pidfd_open"):
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
