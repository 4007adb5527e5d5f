"""A Bento as a container image: the serving image, and the Bento as one more layer on top.

Both lie in one repository of a registry, so that nothing but that layer travels. The manifest, which makes
the image one, goes last: whoever is killed on the way leaves nothing that a tag names.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import yaml

from errors import ReleaseError
from releases.kubernetes.registry import INDEXES, Manifest, Repository

PLACE = "opt/bento"
"""Where the Bento lies in the image, from the root."""
BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"
"""Labels that say which serving image it was made of."""
_DOCKER = "application/vnd.docker."
_DOCKER_LAYER = f"{_DOCKER}image.rootfs.diff.tar.gzip"
_OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True)
class Published:
    """An image in the registry."""

    reference: str
    """`REGISTRY/…/modelyard-serving:<use case>-<bento version>@sha256:…`"""
    digest: str
    base: str
    """Digest of the serving image that it was made of."""
    pushed: bool
    """Whether it was made just now; false when it was there already."""
    layer_bytes: int
    """Size of the layer that holds the Bento, compressed."""


@dataclass(frozen=True)
class Layer:
    """A layer in a temporary file."""

    content: IO[bytes]
    digest: str
    size: int
    diff_id: str
    """Digest of its content before compression."""


def publish(bento: Path, base: str, *, insecure: bool, labels: Mapping[str, str]) -> Published:
    """The image of the Bento in a folder on top of the serving image `base`, in the latter's repository.

    Nothing is pushed when its tag is there and made of what `base` names now. `base` for several platforms
    gives an image for each of them. The same Bento, base and labels give the same digest.

    Args:
        bento: folder of the Bento.
        base: `REGISTRY/NAMESPACE/modelyard-serving:TAG`, `@sha256:…` instead of the tag or after it.
        insecure: whether the registry has no TLS.
        labels: labels of the image besides those that name its base.

    Raises:
        ReleaseError: the registry doesn't answer, has no `base`, or does not let us push; no space is left.
    """
    made = yaml.safe_load((bento / "bento.yaml").read_text())
    tag = f"{made['name']}-{made['version']}"
    repository = Repository(base, insecure=insecure)
    found = repository.manifest(repository.reference)
    if found is None:
        raise ReleaseError(
            f"The registry has no image {base}, which endpoints run on. Push the images: make push "
            "REGISTRY=…; or let the chart's servingImage name another."
        )

    def published(image: Manifest, layer_bytes: int, *, pushed: bool) -> Published:
        reference = f"{repository.name}:{tag}@{image.digest}"
        return Published(reference, image.digest, found.digest, pushed, layer_bytes)

    present = repository.manifest(tag)
    if present is not None:
        first = next(_images(repository, present))
        if _labels(repository.document(first["config"]["digest"])).get(BASE_DIGEST) == found.digest:
            return published(present, first["layers"][-1]["size"], pushed=False)
    with layer_of(bento) as layer:
        repository.upload(layer.content, layer.digest)

        def add(manifest: Manifest) -> Manifest:
            names = {BASE_NAME: base.partition("@")[0], BASE_DIGEST: found.digest}
            return _extended(repository, manifest, layer, {**labels, **names}, tag)

        image = _every(repository, found, add) if found.media_type in INDEXES else add(found)
    repository.put(tag, image)
    return published(image, layer.size, pushed=True)


@contextmanager
def layer_of(bento: Path) -> Iterator[Layer]:
    """The Bento's folder as a layer, in a temporary file; the same files give the same bytes.

    Raises:
        ReleaseError: no space is left for it.
    """
    with tempfile.TemporaryFile() as file:
        try:
            compressed = _Hashed(file)
            with gzip.GzipFile("", "wb", 6, compressed, mtime=0) as zipped:  # type: ignore[call-overload]
                content = _Hashed(zipped)
                with tarfile.open(fileobj=content, mode="w|", format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
                    _fill(archive, bento)
            file.seek(0)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise ReleaseError(
                f"No space is left in {tempfile.gettempdir()} for the layer with the Bento; make room there, "
                "or let TMPDIR name another folder."
            ) from None
        yield Layer(file, compressed.digest, compressed.size, content.digest)


def _fill(archive: tarfile.TarFile, bento: Path) -> None:
    # What Python compiled while the Bento was served from this folder is not part of it.
    files = [path for path in sorted(bento.rglob("*")) if "__pycache__" not in path.parts]
    for path in [bento, *files]:
        entry = tarfile.TarInfo((Path(PLACE) / path.relative_to(bento)).as_posix())
        if path.is_dir():
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
            continue
        entry.mode, entry.size = 0o644, path.stat().st_size
        with path.open("rb") as content:
            archive.addfile(entry, content)


class _Hashed:
    """A file to write to, which counts and digests what it is given."""

    def __init__(self, target: IO[bytes] | gzip.GzipFile) -> None:
        self._target = target
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self.size += len(data)
        return self._target.write(data)

    @property
    def digest(self) -> str:
        return f"sha256:{self._digest.hexdigest()}"


def _images(repository: Repository, manifest: Manifest) -> Iterator[dict[str, Any]]:
    """The manifests of the images that a manifest stands for: its own, or one for each platform."""
    if manifest.media_type not in INDEXES:
        yield manifest.document
        return
    for entry in manifest.document["manifests"]:
        if _is_image(entry):
            yield _existing(repository, entry["digest"]).document


def _every(repository: Repository, index: Manifest, add: Callable[[Manifest], Manifest]) -> Manifest:
    """A list of images for the platforms of `index`: what `add` makes of each, pushed."""
    entries = []
    for entry in index.document["manifests"]:
        if not _is_image(entry):
            continue
        image = add(_existing(repository, entry["digest"]))
        repository.put(image.digest, image)
        entries.append({**entry, "digest": image.digest, "size": len(image.content)})
    return Manifest.of({**index.document, "manifests": entries}, index.media_type)


def _is_image(entry: Mapping[str, Any]) -> bool:
    """Whether it is an image: buildx adds attestations, for the platform `unknown`."""
    return (entry.get("platform") or {}).get("os") != "unknown"


def _existing(repository: Repository, digest: str) -> Manifest:
    found = repository.manifest(digest)
    if found is None:
        raise ReleaseError(f"The registry lost a part of the image: {repository.name} has no {digest}.")
    return found


def _extended(
    repository: Repository, manifest: Manifest, layer: Layer, labels: Mapping[str, str], tag: str
) -> Manifest:
    """`manifest` with the layer on top; its configuration is pushed."""
    document = manifest.document
    config = repository.document(document["config"]["digest"])
    settings = config.get("config") or {}
    config["config"] = {
        **settings,
        "Labels": {**_labels(config), **labels},
        "WorkingDir": f"/{PLACE}/src",
    }
    config["rootfs"]["diff_ids"].append(layer.diff_id)
    if "history" in config:
        # The base's time, not now: the same again has the same digest.
        created = {"created": config["created"]} if "created" in config else {}
        config["history"].append({**created, "created_by": f"modelyard: the Bento {tag}"})
    text = json.dumps(config, separators=(",", ":")).encode()
    digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
    repository.upload(io.BytesIO(text), digest)
    kind = _DOCKER_LAYER if manifest.media_type.startswith(_DOCKER) else _OCI_LAYER
    entry = {"mediaType": kind, "digest": layer.digest, "size": layer.size}
    described = {**document["config"], "digest": digest, "size": len(text)}
    layers = [*document["layers"], entry]
    return Manifest.of({**document, "config": described, "layers": layers}, manifest.media_type)


def _labels(config: Mapping[str, Any]) -> dict[str, str]:
    return (config.get("config") or {}).get("Labels") or {}
