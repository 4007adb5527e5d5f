"""Services of a cluster at ports of this machine, by `kubectl port-forward`, while this process lives."""

from __future__ import annotations

import atexit
import re
import subprocess
import threading
from collections.abc import Callable
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
    """A port on its way to a Service."""

    service: SplitResult
    command: list[str]
    process: subprocess.Popen[str]

    def address(self) -> str:
        """The Service's URL on this machine. When the pod behind it goes, it goes on with another one.

        Raises:
            StackError: the port cannot be forwarded.
        """
        port = self._port()
        # The same port again: those who asked for it keep asking there.
        again = [*self.command, f"{port}:{self.service.port}"]
        threading.Thread(target=_keep, args=(self.process, again), daemon=True).start()
        return f"{self.service.scheme}://127.0.0.1:{port}"

    def _port(self) -> int:
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            if match := _FORWARDING.match(line):
                return int(match[1])
            said.append(line.strip())
        raise StackError(
            f"kubectl cannot forward a port to {self.service.geturl()}: {' '.join(said) or 'it says nothing'}"
        )


def forward(url: str, context: str | None) -> Forward:
    """Begin to forward a port to a Service's URL, `http://NAME.NAMESPACE.svc:PORT`.

    Raises:
        StackError: kubectl is missing.
    """
    if which("kubectl") is None:
        raise StackError(
            "kubectl, which forwards ports to the cluster, is not installed; install it "
            "(https://kubernetes.io/docs/tasks/tools/), or give the platform addresses of its own: "
            "`ingress` in the chart's values."
        )
    service = urlsplit(url)
    name, namespace, *_ = str(service.hostname).split(".")
    command = ["kubectl", *(["--context", context] if context else []), "--namespace", namespace]
    command += [
        "port-forward",
        "--address=127.0.0.1",
        f"--pod-running-timeout={_PATIENCE}",
        f"service/{name}",
    ]
    return Forward(service, command, _start([*command, f":{service.port}"], end_with_parent))


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
