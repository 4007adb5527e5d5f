"""Secrets are made where they are missing, over HTTPS with a service account's token, and never printed."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from errors import ModelyardError, UsageError
from settings import PROJECT
from stacks.platform import generate_secrets

TOKEN = "a token"
DATABASE = {
    "namespace": "modelyard",
    "name": "modelyard-database",
    "labels": {"app.kubernetes.io/part-of": "modelyard"},
    "values": {
        "password": {"random": 24},
        "url": {"template": "postgresql://postgres:{password}@postgresql:5432/postgres"},
    },
}
COPY = {
    "namespace": "pipelines",
    "name": "modelyard-database",
    "from": {"namespace": "modelyard", "name": "modelyard-database"},
}


@dataclass
class Cluster:
    """What the API server has, and how it answers."""

    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)
    namespaces: tuple[str, ...] = ("modelyard", "pipelines")
    failures: list[int] = field(default_factory=list)
    """Codes to answer with before all is well."""

    def data(self, namespace: str, name: str) -> dict[str, str]:
        """A Secret's values."""
        kept = self.secrets[f"/api/v1/namespaces/{namespace}/secrets/{name}"]["data"]
        return {key: base64.b64decode(value).decode() for key, value in kept.items()}

    def answer(self, method: str, path: str, content: Any) -> tuple[int, dict[str, Any]]:
        if self.failures:
            return self.failures.pop(0), {"message": "etcd has no leader"}
        namespace = path.split("/")[4]
        if namespace not in self.namespaces:
            return 404, {"message": f'namespaces "{namespace}" not found'}
        if method == "POST":
            path = f"{path}/{content['metadata']['name']}"
            if path in self.secrets:
                return 409, {"message": "it already exists"}
            texts = {
                k: base64.b64encode(v.encode()).decode() for k, v in content.get("stringData", {}).items()
            }
            self.secrets[path] = {**content, "data": texts | content.get("data", {})}
            return 201, self.secrets[path]
        if path not in self.secrets:
            return 404, {"message": f'secrets "{path}" not found'}
        if method == "PATCH":
            self.secrets[path]["data"] |= content["data"]
        return 200, self.secrets[path]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    cluster = Cluster()

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            content = json.loads(self.rfile.read(size)) if size else None
            allowed = self.headers["Authorization"] == f"Bearer {TOKEN}"
            code, document = (
                cluster.answer(self.command, self.path, content)
                if allowed
                else (401, {"message": "Unauthorized"})
            )
            body = json.dumps(document).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = _do  # noqa: N815 - the names that the library calls

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

    names = ("-subj", "/CN=kubernetes", "-addext", "subjectAltName=IP:127.0.0.1")
    files = ("-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "ca.crt"))
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *names, *files]
    subprocess.run(command, check=True, capture_output=True)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.crt", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(generate_secrets, "ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.server_port))
    yield cluster
    server.shutdown()
    server.server_close()


def _run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *wanted: Any) -> str:
    monkeypatch.setenv("MODELYARD_SECRETS", json.dumps(wanted))
    generate_secrets.main()
    return capsys.readouterr().out


def test_a_missing_secret_is_made_of_random_values_which_are_not_printed(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = _run(monkeypatch, capsys, DATABASE)
    made = cluster.data("modelyard", "modelyard-database")
    assert len(made["password"]) == 48
    assert made["url"] == f"postgresql://postgres:{made['password']}@postgresql:5432/postgres"
    assert printed == "made modelyard-database in modelyard\n"


def test_one_that_is_there_stays_as_it_is(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(monkeypatch, capsys, DATABASE)
    before = cluster.data("modelyard", "modelyard-database")
    assert _run(monkeypatch, capsys, DATABASE) == "modelyard-database in modelyard is there\n"
    assert cluster.data("modelyard", "modelyard-database") == before


def test_a_copy_is_brought_in_line_with_what_it_is_copied_from(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(monkeypatch, capsys, DATABASE, COPY)
    first = cluster.data("modelyard", "modelyard-database")
    assert cluster.data("pipelines", "modelyard-database") == first
    cluster.secrets.pop("/api/v1/namespaces/modelyard/secrets/modelyard-database")
    printed = _run(monkeypatch, capsys, DATABASE, COPY)
    assert "brought modelyard-database in pipelines in line" in printed
    second = cluster.data("modelyard", "modelyard-database")
    assert cluster.data("pipelines", "modelyard-database") == second != first


def test_an_api_server_in_trouble_is_asked_again(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate_secrets, "_PAUSE", 0.01)
    cluster.failures = [503, 429, 500]
    assert _run(monkeypatch, capsys, DATABASE) == "made modelyard-database in modelyard\n"


def test_one_that_stays_in_trouble_is_given_up(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate_secrets, "TRY_SECONDS", 0)
    cluster.failures = [503]
    with pytest.raises(ModelyardError, match="503 etcd has no leader"):
        generate_secrets.ensure(DATABASE)


def test_a_namespace_that_is_not_there_is_named(cluster: Cluster) -> None:
    with pytest.raises(ModelyardError, match='404 namespaces "elsewhere" not found'):
        generate_secrets.ensure({**DATABASE, "namespace": "elsewhere"})


def test_a_server_with_another_certificate_gets_no_token(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(generate_secrets, "TRY_SECONDS", 0)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "localhost")
    with pytest.raises(ModelyardError, match="certificate verify failed"):
        generate_secrets.ensure(DATABASE)
    assert not cluster.secrets


@pytest.mark.parametrize(
    "wrong",
    [
        {"namespace": "modelyard"},
        {"namespace": "modelyard", "name": "a"},
        {"namespace": "modelyard", "name": "a", "values": {"password": "plain"}},
        {"namespace": "modelyard", "name": "a", "values": {"url": {"template": "{other}"}}},
        ["modelyard"],
    ],
)
def test_another_form_is_refused(cluster: Cluster, wrong: Any) -> None:
    with pytest.raises(UsageError, match="MODELYARD_SECRETS"):
        generate_secrets.ensure(wrong)
    assert not cluster.secrets


def test_nothing_but_pythons_own_library_is_imported() -> None:
    code = (
        "import sys; before = {name.split('.')[0] for name in sys.modules}\n"
        "import stacks.platform.generate_secrets\n"
        "loaded = {name.split('.')[0] for name in sys.modules} - before\n"
        "print(sorted(loaded - set(sys.stdlib_module_names) - {'stacks', 'errors'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
