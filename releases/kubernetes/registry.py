"""One repository of a container registry by its HTTP API: no Docker, from inside a pod as from a laptop.

Logins are those that `docker login` and `podman login` leave, or a pull secret mounted as `config.json`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urljoin

import oras.provider
import requests
from oras import defaults
from oras.auth.token import TokenAuth
from oras.container import Container
from oras.utils import append_url_params
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from errors import ReleaseError

SECONDS = (10.0, 300.0)
"""Time for a connection, and for an answer."""
INDEXES = (defaults.default_index_media_type, defaults.docker_manifest_list_media_type)
"""Media types of a list of images, one for each platform."""
_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
_HUB_LOGIN = "https://index.docker.io/v1/"


@dataclass(frozen=True)
class Manifest:
    """A manifest as the registry holds it, byte for byte."""

    media_type: str
    content: bytes

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.content)
        return found

    @classmethod
    def of(cls, document: Mapping[str, Any], media_type: str) -> Manifest:
        return cls(media_type, json.dumps(document, separators=(",", ":")).encode())


class Repository:
    """The repository that an image's name names, such as `registry.example.com/team/modelyard-serving`."""

    def __init__(self, image: str, *, insecure: bool) -> None:
        container = Container(image)
        self.name = f"{container.registry}/{container.api_prefix}"
        self.reference: str = container.digest or container.tag
        """The digest, or else the tag, that `image` names."""
        if container.registry in _HUB:
            container.registry = defaults.registry.default_v2_registry["host"]
        self._container = container
        self._registry = _Registry(self.name, insecure=insecure)

    def manifest(self, reference: str) -> Manifest | None:
        """What a tag or digest names; None when there is nothing.

        Raises:
            ReleaseError: the registry doesn't answer, or refuses.
        """
        accept = {"Accept": ", ".join(defaults.default_manifest_accepted_media_types)}
        response = self._registry.do_request(self._manifest_url(reference), headers=accept)
        if response.status_code == 404:
            return None
        _check(response, 200)
        media_type = response.headers.get("Content-Type", "").partition(";")[0]
        if media_type not in defaults.default_manifest_accepted_media_types:
            raise ReleaseError(
                f"{response.url} is no manifest of an image; it is of the type {media_type or 'unknown'}."
            )
        return Manifest(media_type, response.content)

    def document(self, digest: str) -> dict[str, Any]:
        """The JSON document that a blob is.

        Raises:
            ReleaseError: the registry doesn't answer, or has no such blob.
        """
        response = self._registry.get_blob(self._container, digest)
        _check(response, 200)
        found: dict[str, Any] = response.json()
        return found

    def upload(self, content: IO[bytes], digest: str) -> None:
        """Bring a file into the registry as a blob, unless it is there already.

        Raises:
            ReleaseError: the registry doesn't answer, or refuses.
        """
        registry = self._registry
        if registry.blob_exists({"digest": digest}, self._container):
            return
        begun = registry.do_request(f"{registry.prefix}://{self._container.upload_blob_url()}", "POST")
        _check(begun, 202)
        place = append_url_params(urljoin(begun.url, begun.headers["Location"]), {"digest": digest})
        # oras's own upload reads all of it into memory.
        headers = {"Content-Type": "application/octet-stream"}
        _check(registry.do_request(place, "PUT", data=content, headers=headers), 201)

    def put(self, reference: str, manifest: Manifest) -> None:
        """Let a tag or digest name this manifest, whose blobs must be there.

        Raises:
            ReleaseError: the registry doesn't answer, or refuses.
        """
        headers = {"Content-Type": manifest.media_type}
        url = self._manifest_url(reference)
        _check(self._registry.do_request(url, "PUT", data=manifest.content, headers=headers), 201)

    def _manifest_url(self, reference: str) -> str:
        return f"{self._registry.prefix}://{self._container.manifest_url(reference)}"


class _Login(TokenAuth):
    """The login for a repository, and the way that the registry wants it: a token, or name and password."""

    def __init__(self, repository: str) -> None:
        super().__init__()
        self.file = _login_file()
        self._basic = False
        if self.file is not None:
            self._find(repository)

    @property
    def found(self) -> bool:
        return hasattr(self, "_basic_auth")

    def get_auth_header(self) -> dict[str, str]:
        if self._basic:
            return {"Authorization": f"Basic {self._basic_auth}"}
        header: dict[str, str] = super().get_auth_header()
        return header

    def answer(self, refused: requests.Response) -> bool:
        """Whether the same request, with another header, may be let through now."""
        challenge = refused.headers.get("Www-Authenticate", "")
        if challenge.lower().startswith("basic"):
            changed = self.found and not self._basic
            self._basic = self.found
            return changed
        # Anew each time: the token in hand may be for reading only, or have run out.
        return bool(self.authenticate_request(refused, {}, refresh=True)[1])

    def _find(self, repository: str) -> None:
        assert self.file is not None
        try:
            config = json.loads(self.file.read_text())
        except (OSError, ValueError) as error:
            raise ReleaseError(
                f"The logins for registries cannot be read from {self.file}: {error}"
            ) from None
        # Names of registries come as `host`, `https://host`, `https://host/v1/` and, by podman, `host/team`.
        auths = {_plain(name): login for name, login in (config.get("auths") or {}).items()}
        for name in _prefixes(repository):
            if login := auths.get(name, {}).get("auth"):
                self._basic_auth = login
                return
        host = repository.partition("/")[0]
        self._auth_config = {**config, "auths": {}}
        self._load_auth(_HUB_LOGIN if host in _HUB else host)


class _Registry(oras.provider.Registry):
    """oras's client, which logs in as the registry wants it and says in a sentence what goes wrong."""

    def __init__(self, repository: str, *, insecure: bool) -> None:
        super().__init__(hostname=repository.partition("/")[0], insecure=insecure)
        self._repository = repository
        self.auth = _Login(repository)
        self.auth.session, self.auth.prefix, self.auth._tls_verify = self.session, self.prefix, True
        again = Retry(
            total=3,
            backoff_factor=0.5,
            status_forcelist=(429, 502, 503, 504),
            allowed_methods=None,
            raise_on_status=False,
        )
        self.session.mount(f"{self.prefix}://", HTTPAdapter(max_retries=again))

    def do_request(
        self,
        url: str,
        method: str = "GET",
        data: bytes | IO[bytes] | None = None,
        headers: dict[str, str] | None = None,
        json: Any = None,
        stream: bool = False,
    ) -> requests.Response:
        """Ask, and once more with the login when the registry demands it."""
        try:
            response = self._ask(url, method, data, headers, json, stream)
            if response.status_code in (401, 403) and self.auth.answer(response):
                if data is not None and not isinstance(data, bytes):
                    data.seek(0)
                response = self._ask(url, method, data, headers, json, stream)
        except requests.RequestException as error:
            hint = " A registry without TLS has to be declared as such." if self.prefix == "https" else ""
            raise ReleaseError(f"The registry {self.hostname} does not answer: {error}.{hint}") from None
        if response.status_code in (401, 403):
            raise ReleaseError(
                f"The registry does not let us {'read' if method in ('GET', 'HEAD') else 'push to'} "
                f"{self._repository}: {_reason(response)}. {self._login()}"
            )
        return response

    def _ask(
        self, url: str, method: str, data: Any, headers: dict[str, str] | None, json: Any, stream: bool
    ) -> requests.Response:
        sent = {**(headers or {}), **self.auth.get_auth_header()}
        session: requests.Session = self.session
        return session.request(
            method, url, data=data, json=json, headers=sent, stream=stream, timeout=SECONDS
        )

    def _login(self) -> str:
        if self.auth.found:
            return f"The login is the one in {self.auth.file}; it has no right to do that, or is wrong."
        looked = self.auth.file or "no file, for there is none"
        return (
            f"No login for it was found; looked at: {looked}. Log in by `docker login {self.hostname}`, or "
            "let DOCKER_CONFIG name a folder with a config.json such as the one in a pull secret."
        )


def _login_file() -> Path | None:
    """The first file with logins that there is, in the order in which Docker and podman look."""
    places = [
        (os.environ.get("REGISTRY_AUTH_FILE"), ""),
        (os.environ.get("DOCKER_CONFIG"), "config.json"),
        (str(Path("~/.docker").expanduser()), "config.json"),
        (os.environ.get("XDG_RUNTIME_DIR"), "containers/auth.json"),
    ]
    files = (Path(folder) / name for folder, name in places if folder)
    return next((file for file in files if file.is_file()), None)


def _plain(name: str) -> str:
    plain = re.sub(r"^https?://|(/v[12])?/?$", "", name)
    return "docker.io" if plain in _HUB else plain


def _prefixes(repository: str) -> Iterator[str]:
    """`host/team/name`, `host/team`, `host`."""
    host, *path = repository.split("/")
    parts = [_plain(host), *path]
    for length in range(len(parts), 0, -1):
        yield "/".join(parts[:length])


def _check(response: requests.Response, *expected: int) -> None:
    if response.status_code not in expected:
        request = f"{response.request.method} {response.url}"
        raise ReleaseError(f"The registry failed at {request}: {_reason(response)}.")


def _reason(response: requests.Response) -> str:
    """Its number, and what registries say beside it as `{"errors": [{"message": …}]}`."""
    try:
        said = "; ".join(error["message"] for error in response.json()["errors"])
    except (ValueError, KeyError, TypeError):
        said = response.text[:200].strip()
    return f"{response.status_code} {response.reason}{f' ({said})' if said else ''}"
