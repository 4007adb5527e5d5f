"""What the chart wrote down is read by name, and what is missing is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from kubernetes.client import ApiClient, Configuration

from errors import StackError
from stacks.kubernetes import connection

COMPLETE = {
    "zenml-url": "http://modelyard-zenml.modelyard.svc:8237",
    "mlflow-url": "http://modelyard-mlflow.modelyard.svc:5000",
    "bucket": "modelyard",
    "namespace": "modelyard",
    "image": "example.com/modelyard:1",
    "serving-image": "example.com/modelyard-serving:1",
    "pipelines-namespace": "modelyard-pipelines",
    "inference-namespace": "modelyard-inference",
    "orchestrator-service-account": "modelyard-orchestrator",
    "step-service-account": "modelyard-step",
    "login-secret": "modelyard-login",
    "s3-secret": "modelyard-s3",
}


class ApiServer(ThreadingHTTPServer):
    """Answers as Kubernetes' API server does: what is in `objects`, else 404; 403 where `forbidden`."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.forbidden = False
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, ApiServer)
        found = self.server.objects.get(self.path)
        code = 403 if self.server.forbidden else 200 if found else 404
        status = {"kind": "Status", "message": f'configmaps "{connection.NAME}" is forbidden', "code": code}
        body = json.dumps(found if code == 200 else status).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def api(server: ApiServer) -> ApiClient:
    return ApiClient(Configuration(host=f"http://127.0.0.1:{server.server_port}"))


def write_down(server: ApiServer, data: dict[str, str]) -> None:
    path = f"/api/v1/namespaces/modelyard/configmaps/{connection.NAME}"
    server.objects[path] = {"metadata": {"name": connection.NAME}, "data": data}


def test_the_charts_words_are_read_and_what_it_leaves_open_is_empty(
    server: ApiServer, api: ApiClient
) -> None:
    write_down(server, COMPLETE | {"something-newer": "is no trouble"})
    found = connection.read(api, "modelyard")
    assert found.zenml_url == COMPLETE["zenml-url"]
    assert found.s3_endpoint == found.registry == ""


def test_a_namespace_without_the_chart_says_how_to_install_it_and_where_else_to_look(api: ApiClient) -> None:
    with pytest.raises(StackError, match=r"helm install modelyard .*MODELYARD_KUBE_NAMESPACE"):
        connection.read(api, "modelyard")


def test_a_chart_of_another_version_is_named_by_what_it_lacks(server: ApiServer, api: ApiClient) -> None:
    write_down(server, {key: text for key, text in COMPLETE.items() if key not in ("bucket", "image")})
    with pytest.raises(StackError, match=r"lacks bucket, image: .*helm upgrade"):
        connection.read(api, "modelyard")


def test_a_refusal_is_quoted(server: ApiServer, api: ApiClient) -> None:
    server.forbidden = True
    with pytest.raises(StackError, match=r"refuses \(403\): configmaps .* is forbidden"):
        connection.read(api, "modelyard")


def test_a_secret_is_decoded(server: ApiServer, api: ApiClient) -> None:
    server.objects["/api/v1/namespaces/modelyard/secrets/modelyard-login"] = {
        "data": {"username": "ZGVmYXVsdA==", "password": "c2VjcmV0"}
    }
    assert connection.secret(api, "modelyard", "modelyard-login") == {
        "username": "default",
        "password": "secret",
    }


def test_a_secret_that_is_missing_is_named(api: ApiClient) -> None:
    with pytest.raises(StackError, match="no Secret modelyard-login"):
        connection.secret(api, "modelyard", "modelyard-login")
