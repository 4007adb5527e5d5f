"""Pods that look around in a cluster: of the platform's image, with the fewest rights, and a port."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.kubernetes.cluster import Platform, command

PORT = 3000
_LISTEN = f"from socketserver import *; TCPServer(('', {PORT}), BaseRequestHandler).serve_forever()"
_KNOCK = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

targets = json.load(sys.stdin)

def answers(target):
    host, port = target
    try:
        if port is None:
            socket.getaddrinfo(host, 443)
        else:
            socket.create_connection((host, port), timeout=3).close()
    except OSError:
        return False
    return True

with ThreadPoolExecutor(len(targets)) as pool:
    json.dump(dict(zip(targets, pool.map(answers, targets.values()))), sys.stdout)
"""

_HEAR = f"""
from http.server import BaseHTTPRequestHandler, HTTPServer

class Ear(BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.send_response(200)
        self.end_headers()

HTTPServer(("", {PORT}), Ear).serve_forever()
"""

Address = tuple[str, int | None]
"""Host and port; without a port only the host's address is asked for."""


@dataclass(frozen=True)
class Probe:
    """A pod of the test's own."""

    namespace: str
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    account: str = "default"
    program: str = _LISTEN
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that are nobody else's business."""

    def manifests(self, platform: Platform) -> Iterator[dict[str, Any]]:
        secrets = {"name": self.name, "namespace": self.namespace}
        yield {"apiVersion": "v1", "kind": "Secret", "metadata": secrets, "stringData": dict(self.secrets)}
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": dict(self.labels)},
            "spec": {
                "serviceAccountName": self.account,
                "terminationGracePeriodSeconds": 0,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 10001,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [
                    {
                        "name": "probe",
                        "image": ":".join(platform.images[f"image.{part}"] for part in ("repository", "tag")),
                        "command": ["python", "-c", self.program],
                        "envFrom": [{"secretRef": {"name": self.name}}],
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]},
                        },
                        **(
                            {"readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1}}
                            if self.program is _LISTEN
                            else {}
                        ),
                        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
                    }
                ],
            },
        }


@contextmanager
def started(platform: Platform, *probes: Probe) -> Iterator[None]:
    """The pods, all ready; gone afterwards."""
    items = [manifest for each in probes for manifest in each.manifests(platform)]
    document = {"apiVersion": "v1", "kind": "List", "items": items}
    command("kubectl", "apply", "--filename=-", stdin=json.dumps(document))
    try:
        for each in probes:
            command(
                "kubectl", "--namespace", each.namespace, "wait", "--for=condition=Ready", "--timeout=120s",
                f"pod/{each.name}",
            )  # fmt: skip
        yield
    finally:
        command("kubectl", "delete", "--wait=false", "--filename=-", stdin=json.dumps(document))


@contextmanager
def hearing(platform: Platform, namespace: str) -> Iterator[tuple[str, Callable[[], list[Any]]]]:
    """A webhook: its host, and a function that says which documents it was sent."""
    command("kubectl", "create", "namespace", namespace)
    kubectl = ("kubectl", "--namespace", namespace)
    try:
        with started(platform, Probe(namespace, "webhook", program=_HEAR)):
            (pod,) = platform.get("pods", namespace=namespace)
            yield (
                pod["status"]["podIP"],
                lambda: [
                    json.loads(line)
                    for line in command(*kubectl, "logs", "webhook").splitlines()
                    if line[:1] == "{"
                ],
            )
    finally:
        command("kubectl", "delete", "namespace", namespace, "--wait=false")


def reached(namespace: str, pod: str, targets: Mapping[str, Address]) -> set[str]:
    """Those of `targets`, by name, that a pod with Python in it reaches."""
    answer = command(
        "kubectl", "--namespace", namespace, "exec", "--stdin", pod, "--", "python", "-c", _KNOCK,
        stdin=json.dumps(targets),
    )  # fmt: skip
    return {name for name, answers in json.loads(answer).items() if answers}


def address(pod: Mapping[str, Any], port: int) -> Address:
    """Of a port of a pod, as `kubectl get` describes it."""
    return pod["status"]["podIP"], port
