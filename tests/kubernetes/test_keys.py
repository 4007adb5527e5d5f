"""API keys of an endpoint in a cluster: a Secret that several people change by commands."""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import b64decode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serving.keys import parse
from stacks.kubernetes.connection import NAME, Connection
from tests.integration.command_line import CommandLine
from tests.kubernetes.cluster import command


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """All that these commands need of a platform: what its chart writes down of itself."""
    namespace = f"keys-{secrets.token_hex(3)}"
    values = dict.fromkeys(Connection.model_json_schema()["required"], "none")
    command("kubectl", "create", "namespace", namespace)
    written = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME, "namespace": namespace},
        "data": values | {"namespace": namespace, "inference-namespace": namespace},
    }
    command("kubectl", "apply", "-f", "-", stdin=json.dumps(written))
    yield namespace
    command("kubectl", "delete", "namespace", namespace, "--wait=false")


@pytest.fixture
def run(namespace: str, tmp_path: Path, free_port: int) -> CommandLine:
    return CommandLine(tmp_path, free_port, MODELYARD_KUBE_NAMESPACE=namespace)


def text(namespace: str) -> str:
    """What an endpoint's pods see of the Secret."""
    found = command("kubectl", "-n", namespace, "get", "secret", "taxi-keys", "-o", "jsonpath={.data.keys}")
    return b64decode(found).decode()


def test_keys_are_added_side_by_side_and_revoked_and_the_secret_holds_only_hashes(
    run: CommandLine, namespace: str
) -> None:
    listed = run("--stack", "kubernetes", "keys", "taxi")
    assert (listed.document["open"], listed.document["keys"]) == (True, [])

    def add(name: str) -> str:
        done = run("--stack", "kubernetes", "keys", "taxi", "add", name, "--right", "outcomes")
        assert done.code == 0, done.document
        return str(done.document["key"])

    names = ("web", "batch", "phone")
    with ThreadPoolExecutor(3) as people:
        made = dict(zip(names, people.map(add, names), strict=True))
    entries = {entry.name: entry for entry in parse(text(namespace))}
    assert {name: entry.digest for name, entry in entries.items()} == {
        name: hashlib.sha256(key.encode()).digest() for name, key in made.items()
    }
    assert all(key not in text(namespace) for key in made.values())

    assert run("--stack", "kubernetes", "keys", "taxi", "add", "web").code == 2
    for name in names:
        assert run("--stack", "kubernetes", "keys", "taxi", "revoke", name).code == 0
    listed = run("--stack", "kubernetes", "keys", "taxi")
    assert (listed.document["open"], listed.document["keys"]) == (False, [])
    assert run("--stack", "kubernetes", "keys", "titanic").document["open"]
