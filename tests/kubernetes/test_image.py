"""A Bento as an image in a real registry: what pods find, what a second time and another base change."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import secrets
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from errors import ReleaseError
from releases.kubernetes.image import BASE_DIGEST, BASE_NAME, Published, publish
from releases.kubernetes.registry import Manifest, Repository
from tests.integration.releases.titanic import build
from tests.registry import LOGIN, READER, Door, door, write_login

INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True)
class Serving:
    """The serving image under test."""

    image: str
    insecure: bool

    @property
    def repository(self) -> Repository:
        return Repository(self.image, insecure=self.insecure)

    @property
    def url(self) -> str:
        return f"http{'' if self.insecure else 's'}://{self.image.partition('/')[0]}"

    @property
    def manifest(self) -> Manifest:
        return self.read(self.repository.reference)

    def read(self, reference: str) -> Manifest:
        found = self.repository.manifest(reference)
        assert found is not None, reference
        return found

    def put(self, manifest: Manifest) -> str:
        """Name of an image with this manifest."""
        tag = f"test-{secrets.token_hex(4)}"
        self.repository.put(tag, manifest)
        return f"{self.repository.name}:{tag}"

    def config(self, manifest: Manifest) -> dict[str, Any]:
        return self.repository.document(manifest.document["config"]["digest"])

    def variant(self, **changes: Any) -> Manifest:
        """The manifest of the serving image with other values in its configuration, which is pushed."""
        document = self.manifest.document
        text = json.dumps(self.config(self.manifest) | changes).encode()
        digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
        self.repository.upload(io.BytesIO(text), digest)
        config = document["config"] | {"digest": digest, "size": len(text)}
        return Manifest.of(document | {"config": config}, self.manifest.media_type)

    def publish(self, bento: Path, base: str | None = None) -> Published:
        return publish(bento, base or self.image, insecure=self.insecure, labels={"modelyard.test": "yes"})


@pytest.fixture(scope="module")
def serving() -> Serving:
    name, _, tag = os.environ["MODELYARD_TEST_IMAGE"].rpartition(":")
    image = f"{name}-serving:{tag}"
    try:
        httpx.get(f"https://{name.partition('/')[0]}/v2/", timeout=10)
    except httpx.ConnectError:
        return Serving(image, insecure=True)
    return Serving(image, insecure=False)


@pytest.fixture
def bento(tmp_path: Path) -> Path:
    """A Bento that no one has published before."""
    return build(tmp_path, version=secrets.randbelow(10**9), strength=0.1).bento.path


def test_pods_find_the_bento_on_top_of_the_serving_image(
    serving: Serving, bento: Path, tmp_path: Path
) -> None:
    published = serving.publish(bento)
    tag = f"titanic-{bento.name}"
    assert published.pushed
    assert published.reference == f"{serving.repository.name}:{tag}@{published.digest}"

    image, base = serving.read(tag), serving.manifest
    assert image.digest == published.digest
    *below, layer = image.document["layers"]
    assert below == base.document["layers"]
    assert layer["size"] == published.layer_bytes
    config, base_config = serving.config(image), serving.config(base)
    assert config["config"]["WorkingDir"] == "/opt/bento/src"
    for kept in ("Cmd", "User", "Env"):
        assert config["config"][kept] == base_config["config"][kept]
    assert len(config["rootfs"]["diff_ids"]) == len(image.document["layers"])
    labels = config["config"]["Labels"]
    assert labels[BASE_NAME] == serving.image
    assert labels[BASE_DIGEST] == base.digest
    assert labels["modelyard.test"] == "yes"

    assert _pulled(serving, layer, tmp_path / "pulled") == _files(bento)


def test_the_same_bento_again_pushes_nothing(serving: Serving, bento: Path) -> None:
    first = serving.publish(bento)
    with door(serving.url, tokens=False) as watched:
        again = _through(watched, serving, bento, LOGIN)
    assert not again.pushed
    assert (again.digest, again.layer_bytes) == (first.digest, first.layer_bytes)
    assert {method for method, _ in watched.passed} == {"GET"}


def test_another_serving_image_makes_a_new_image_and_the_first_again_gives_the_first_digest(
    serving: Serving, bento: Path
) -> None:
    first = serving.publish(bento)
    other = serving.publish(bento, serving.put(serving.variant(author="somebody")))
    assert other.pushed
    assert other.digest != first.digest
    assert serving.config(serving.read(other.digest))["author"] == "somebody"
    back = serving.publish(bento)
    assert back.pushed
    assert back == first


def test_a_tag_that_names_another_image_now_makes_a_new_one_but_a_digest_stays(
    serving: Serving, bento: Path
) -> None:
    pinned = f"{serving.image}@{serving.manifest.digest}"
    first = serving.publish(bento, pinned)
    moved = serving.put(serving.manifest)
    assert not serving.publish(bento, moved).pushed
    serving.repository.put(moved.rpartition(":")[2], serving.variant(author="somebody else"))
    assert serving.publish(bento, moved).pushed
    assert serving.publish(bento, pinned).digest == first.digest


def test_an_image_for_several_platforms_gives_one_for_each_and_no_attestation(
    serving: Serving, bento: Path
) -> None:
    arm = serving.variant(architecture="arm64")
    serving.put(arm)
    entries = [
        _entry(serving.manifest, {"architecture": "amd64", "os": "linux"}),
        _entry(arm, {"architecture": "arm64", "os": "linux", "variant": "v8"}),
        _entry(serving.manifest, {"architecture": "unknown", "os": "unknown"}),
    ]
    base = Manifest.of({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}, INDEX)
    name = serving.put(base)
    published = serving.publish(bento, name)
    assert published.base == base.digest

    index = serving.read(published.digest)
    assert index.media_type == INDEX
    made = index.document["manifests"]
    assert [entry["platform"] for entry in made] == [entry["platform"] for entry in entries[:2]]
    images = [serving.read(entry["digest"]) for entry in made]
    assert [len(image.content) for image in images] == [entry["size"] for entry in made]
    assert [serving.config(image)["architecture"] for image in images] == ["amd64", "arm64"]
    assert len({image.document["layers"][-1]["digest"] for image in images}) == 1
    assert not serving.publish(bento, name).pushed


def test_an_image_that_docker_pushed_stays_one_of_dockers_types(serving: Serving, bento: Path) -> None:
    document = copy.deepcopy(serving.manifest.document)
    document["mediaType"] = "application/vnd.docker.distribution.manifest.v2+json"
    document["config"]["mediaType"] = "application/vnd.docker.container.image.v1+json"
    for layer in document["layers"]:
        layer["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    published = serving.publish(bento, serving.put(Manifest.of(document, document["mediaType"])))
    image = serving.read(published.digest)
    assert image.media_type == document["mediaType"]
    assert image.document["config"]["mediaType"] == document["config"]["mediaType"]
    kinds = {layer["mediaType"] for layer in image.document["layers"]}
    assert kinds == {"application/vnd.docker.image.rootfs.diff.tar.gzip"}


@pytest.fixture(params=["tokens", "passwords"])
def guarded(request: pytest.FixtureRequest, serving: Serving) -> Iterator[Door]:
    with door(serving.url, tokens=request.param == "tokens") as found:
        yield found


def test_a_registry_that_demands_a_login_gets_the_one_in_dockers_config(
    guarded: Door, serving: Serving, bento: Path
) -> None:
    published = _through(guarded, serving, bento, LOGIN)
    assert published.pushed
    assert serving.read(published.digest)
    assert not _through(guarded, serving, bento, LOGIN).pushed


def test_whoever_may_only_read_is_told_which_login_it_was_and_no_tag_is_left(
    guarded: Door, serving: Serving, bento: Path
) -> None:
    with pytest.raises(ReleaseError, match=r"does not let us push to .*denied.*The login is the one in .*"):
        _through(guarded, serving, bento, READER)
    assert serving.repository.manifest(f"titanic-{bento.name}") is None


def test_whoever_has_no_login_is_told_where_it_was_looked_for(
    guarded: Door, serving: Serving, bento: Path
) -> None:
    with pytest.raises(
        ReleaseError, match=r"does not let us read .*No login for it was found.*DOCKER_CONFIG"
    ):
        _through(guarded, serving, bento, LOGIN, registry="another.example.com")


def test_a_serving_image_that_nobody_pushed_is_said_with_what_to_do(serving: Serving, bento: Path) -> None:
    with pytest.raises(ReleaseError, match=r"has no image .*:no-such-tag.*make push REGISTRY="):
        serving.publish(bento, f"{serving.repository.name}:no-such-tag")


def test_a_registry_that_does_not_answer_is_named_within_seconds(bento: Path, free_port: int) -> None:
    begun = time.monotonic()
    with pytest.raises(ReleaseError, match=rf"The registry 127.0.0.1:{free_port} does not answer"):
        publish(bento, f"127.0.0.1:{free_port}/modelyard-serving:1", insecure=True, labels={})
    assert time.monotonic() - begun < 15


def _through(door: Door, serving: Serving, bento: Path, login: str, registry: str | None = None) -> Published:
    """Publish at the door's address, with a login in a `config.json`."""
    _, _, path = serving.image.partition("/")
    folder = bento.parent.parent / "login"
    write_login(folder, registry or door.address, login)
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("REGISTRY_AUTH_FILE", raising=False)
        environment.setenv("DOCKER_CONFIG", str(folder))
        return publish(bento, f"{door.address}/{path}", insecure=True, labels={})


def _entry(manifest: Manifest, platform: Mapping[str, str]) -> dict[str, Any]:
    size = len(manifest.content)
    return {
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": size,
        "platform": dict(platform),
    }


def _pulled(serving: Serving, layer: Mapping[str, Any], folder: Path) -> dict[str, bytes]:
    url = f"{serving.url}/v2/{serving.repository.name.partition('/')[2]}/blobs/{layer['digest']}"
    content = httpx.get(url, follow_redirects=True, trust_env=False).content
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(folder, filter="data")
    return _files(folder / "opt" / "bento")


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
