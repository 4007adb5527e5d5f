"""Services and pods of a cluster at ports of this machine, by `kubectl port-forward`."""

from __future__ import annotations

import atexit
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from shutil import which
from urllib.parse import SplitResult, urlsplit

from errors import StackError
from stacks.platform.process import end_with_parent

_FORWARDING = re.compile(r"^Forwarding from 127\.0\.0\.1:(\d+) ->")
_PATIENCE = "15s"
"""How long a pod is waited for that is just being made."""


@dataclass(frozen=True)
class Forward:
    """A port on its way to a Service, or to a pod."""

    target: SplitResult
    command: list[str]
    process: subprocess.Popen[str]

    def address(self) -> str:
        """The Service's URL on this machine, while this process lives.

        When the pod behind it goes, it goes on with another one.

        Raises:
            StackError: the port cannot be forwarded.
        """
        port = self.port()
        # The same port again: those who asked for it keep asking there.
        again = [*self.command, f"{port}:{self.target.port}"]
        threading.Thread(target=_keep, args=(self.process, again), daemon=True).start()
        return f"{self.target.scheme}://127.0.0.1:{port}"

    def port(self) -> int:
        """The port on this machine, once it is open.

        Raises:
            StackError: it cannot be forwarded.
        """
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            if match := _FORWARDING.match(line):
                return int(match[1])
            said.append(line.strip())
        raise StackError(
            f"kubectl cannot forward a port to {self.target.geturl()}: {' '.join(said) or 'it says nothing'}"
        )


def forward(url: str, context: str | None) -> Forward:
    """Begin to forward a port to a URL, `http://NAME.NAMESPACE.svc:PORT` of a Service, `….pod:PORT` of a pod.

    Raises:
        StackError: kubectl is missing.
    """
    if which("kubectl") is None:
        raise StackError(
            "kubectl, which forwards ports to the cluster, is not installed; install it "
            "(https://kubernetes.io/docs/tasks/tools/), or give the platform addresses of its own: "
            "`ingress` in the chart's values."
        )
    target = urlsplit(url)
    name, namespace, kind, *_ = str(target.hostname).split(".")
    command = ["kubectl", *(["--context", context] if context else []), "--namespace", namespace]
    command += [
        "port-forward",
        "--address=127.0.0.1",
        f"--pod-running-timeout={_PATIENCE}",
        f"{kind}/{name}",
    ]
    return Forward(target, command, _start([*command, f":{target.port}"], end_with_parent))


@contextmanager
def forwarded(url: str, context: str | None) -> Iterator[str]:
    """The address on this machine of what `url` names, while the block goes on.

    Raises:
        StackError: kubectl is missing, or cannot forward a port there.
    """
    begun = forward(url, context)
    try:
        yield f"{begun.target.scheme}://127.0.0.1:{begun.port()}"
    finally:
        begun.process.terminate()


def _start(command: list[str], first: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # Ctrl-C is for this process, which may still have to ask something
        preexec_fn=first,
    )
    atexit.register(process.terminate)
    return process


def _keep(process: subprocess.Popen[str], command: list[str]) -> None:
    """Read what kubectl says, so that it never waits for a reader; start it again when it ends."""
    pause = threading.Event()
    while True:
        assert process.stdout is not None
        for line in process.stdout:
            if "lost connection to pod" in line:
                process.terminate()
        process.wait()
        pause.wait(0.5)  # of a pod that is being replaced
        # Without `end_with_parent`: by now this process has threads, beside which only little may be done
        # between fork and exec; and to the kernel the parent is the thread that forks.
        process = _start(command)
