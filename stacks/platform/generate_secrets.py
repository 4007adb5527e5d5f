"""Make the platform's missing Secrets, in a pod: `python -m stacks.platform.generate_secrets`.

MODELYARD_SECRETS has a JSON list, without any secret in it, of Secrets to be there afterwards:

    {"namespace": "a", "name": "b", "labels": {}, "values": {
        "username": {"value": "default"}, "password": {"random": 24}, "url": {"template": "//:{password}@a"}}}
    {"namespace": "c", "name": "b", "labels": {}, "from": {"namespace": "a", "name": "b"}}

One that is there stays as it is; a copy, which has `from`, is brought in line. Values are never printed.
It needs nothing but Python's own library, since an installation waits for it before all else.
"""

from __future__ import annotations

import json
import os
import secrets
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from errors import ModelyardError, UsageError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TRY_SECONDS = 30.0
_PAUSE = 0.5

Document = dict[str, Any]


class Refused(ModelyardError):
    """The API server does not do what it was asked for."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def ensure(wanted: Document) -> str:
    """Make one Secret, or bring a copy in line; returns what was done, in words.

    Raises:
        UsageError: what is wanted has another form than it must.
        ModelyardError: the API server refuses, or does not answer.
    """
    try:
        namespace, name = wanted["namespace"], wanted["name"]
        source = wanted.get("from")
        if source:
            data = {"data": _ask("GET", _path(source["namespace"], source["name"]))["data"]}
        else:
            data = {"stringData": values(wanted["values"])}
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"MODELYARD_SECRETS has another form than it must: {error!r} in one entry."
        ) from None
    metadata = {"name": name, "labels": wanted.get("labels", {})}
    secret = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, **data}
    try:
        _ask("POST", _path(namespace), secret)
    except Refused as error:
        if error.code != 409:
            raise
        if not source:
            return f"{name} in {namespace} is there"
        _ask("PATCH", _path(namespace, name), data)
        return f"brought {name} in {namespace} in line"
    return f"made {name} in {namespace}"


def values(described: Document) -> dict[str, str]:
    """The values of a Secret: random ones made anew, templates filled with the others.

    Raises:
        UsageError: one is neither `random`, `value` nor `template`.
    """
    made: dict[str, str] = {}
    templates: dict[str, str] = {}
    for key, how in described.items():
        match how:
            case {"random": int(size)}:
                made[key] = secrets.token_hex(size)
            case {"value": str(value)}:
                made[key] = value
            case {"template": str(template)}:
                templates[key] = template
            case _:
                raise UsageError(f"MODELYARD_SECRETS: {key!r} must be a random, a value or a template.")
    return made | {key: template.format_map(made) for key, template in templates.items()}


def _path(namespace: str, name: str = "") -> str:
    return f"/api/v1/namespaces/{namespace}/secrets" + (f"/{name}" if name else "")


def _ask(method: str, path: str, content: Document | None = None) -> Document:
    """The API server's answer; asked again for a while when it is away or has trouble of its own.

    Raises:
        ModelyardError: it refuses, or there is none in time.
    """
    deadline = time.monotonic() + TRY_SECONDS
    while True:
        try:
            with _open(method, path, content) as answer:
                document: Document = json.load(answer)
                return document
        except urllib.error.HTTPError as error:
            with error:
                trouble = f"{method} {path}: {error.code} {_word(error)}"
            if error.code < 500 and error.code != 429:
                raise Refused(trouble, error.code) from None
        except OSError as error:
            trouble = f"{method} {path}: the API server does not answer: {error}"
        if time.monotonic() > deadline:
            raise ModelyardError(trouble)
        time.sleep(_PAUSE)


def _open(method: str, path: str, content: Document | None) -> Any:
    try:
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        token = (ACCOUNT / "token").read_text().strip()
    except (KeyError, FileNotFoundError) as error:
        raise UsageError(f"This runs in a pod with a service account's token; there is no {error}.") from None
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    request = urllib.request.Request(
        f"https://{f'[{host}]' if ':' in host else host}:{port}{path}",
        method=method,
        data=json.dumps(content).encode() if content else None,
        headers={"Authorization": f"Bearer {token}", "Content-Type": kind},
    )
    trusted = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt")))
    # No proxy: the API server is inside the cluster.
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), trusted).open(request, timeout=10)


def _word(error: urllib.error.HTTPError) -> str:
    """Why the API server refuses, which has names in it and never values."""
    try:
        return str(json.load(error)["message"])
    except (ValueError, KeyError, TypeError):
        return str(error.reason)


def main() -> None:
    """Make them in their order."""
    try:
        wanted = json.loads(os.environ["MODELYARD_SECRETS"])
    except KeyError:
        raise UsageError("MODELYARD_SECRETS must say which Secrets are wanted; it is not set.") from None
    except ValueError as error:
        raise UsageError(f"MODELYARD_SECRETS is no JSON: {error}") from None
    for one in wanted:
        sys.stdout.write(f"{ensure(one)}\n")


if __name__ == "__main__":
    try:
        main()
    except ModelyardError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
