"""The manifests of an endpoint: the files in k8s/, for one use case and one image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from settings import PROJECT

FOLDER = PROJECT / "k8s" / "endpoint"
GATEWAY_FOLDER = PROJECT / "k8s" / "gateway"
"""With a route of the Gateway API."""
NAME = "app.kubernetes.io/name"
COMPONENT = "app.kubernetes.io/component"
TRAFFIC = "modelyard.dev/traffic"
VERSION = "modelyard.dev/model-version"
BENTO = "modelyard.dev/bento"
MODEL = "model"
"""Container that brings the model, where another image runs it."""

Manifest = dict[str, Any]

_CANARY = "-canary"
_STREAM = "-stream"
_KEYS = "-keys"
_VERIFIER = "MODELYARD_ENDPOINT_VERIFIER"

# What stands in the files for the use case and for its image.
_NAME, _IMAGE = "endpoint", "modelyard-endpoint"


def render(
    use_case: str,
    image: str,
    *,
    namespace: str,
    model_version: int,
    bento: str,
    pull_secrets: Sequence[str] = (),
    gateways: Sequence[Mapping[str, Any]] = (),
    hostname: str = "",
) -> list[Manifest]:
    """All objects of an endpoint, in the order in which they are applied.

    `image` is a reference by digest; `pull_secrets` are names of Secrets in `namespace`. `gateways` are
    `parentRefs` of the Gateways that lead to it, by a route for `hostname`; without them there is none.
    """
    name = name_of(use_case)
    stands_for = {
        _NAME: name,
        f"/{_NAME}": f"/{name}",
        _NAME + _CANARY: name + _CANARY,
        _NAME + _KEYS: keys_name(use_case),
        _IMAGE: image,
    }
    folder = GATEWAY_FOLDER if gateways else FOLDER
    found = read(folder, stands_for)
    for manifest in found:
        manifest["metadata"]["namespace"] = namespace
        if manifest["kind"] == "ServiceAccount" and pull_secrets:
            manifest["imagePullSecrets"] = [{"name": name} for name in pull_secrets]
        if manifest["kind"] == "Deployment":
            template = manifest["spec"]["template"]["metadata"]
            template["labels"][VERSION] = str(model_version)
            template["annotations"] = {BENTO: bento}
        if manifest["kind"] == "HTTPRoute":
            manifest["spec"]["parentRefs"] = [dict(gateway) for gateway in gateways]
            manifest["spec"] |= {"hostnames": [hostname]} if hostname else {}
    return found


def weighted(manifests: Sequence[Manifest], share: float) -> list[Manifest]:
    """The route of `manifests`, if there is one, that gives the canary `share` of the requests."""
    routes: list[Manifest] = [_replaced(route, {}) for route in of_kind(manifests, "HTTPRoute")]
    for route in routes:
        stable, canary = route["spec"]["rules"][0]["backendRefs"]
        canary["weight"] = round(share * 100)
        stable["weight"] = 100 - canary["weight"]
    return routes


def canary(
    manifests: Sequence[Manifest], *, replicas: int, traffic: bool, verifier: str | None = None
) -> Manifest:
    """The Deployment beside that of `manifests`: the same pods under other labels.

    `verifier` is the SHA-256, in hex, of a key that these pods let their release ask by, whatever keys they
    demand of others.
    """
    (stable,) = of_kind(manifests, "Deployment")
    made: Manifest = _replaced(stable, {"stable": "canary"})
    made["metadata"]["name"] += _CANARY
    made["spec"]["replicas"] = replicas
    made["spec"]["template"]["metadata"]["labels"][TRAFFIC] = "on" if traffic else "off"
    if verifier is not None:
        (container,) = made["spec"]["template"]["spec"]["containers"]
        container["env"].append({"name": _VERIFIER, "value": verifier})
    return made


def name_of(use_case: str) -> str:
    """What the objects of a use case are called: Kubernetes' names have no underscores."""
    return use_case.replace("_", "-")


def canary_name(use_case: str) -> str:
    """What the second Deployment of a use case is called."""
    return name_of(use_case) + _CANARY


def stream_name(use_case: str) -> str:
    """What the objects of a use case's stream are called."""
    return name_of(use_case) + _STREAM


def keys_name(use_case: str) -> str:
    """What the Secret with the API keys of a use case is called."""
    return name_of(use_case) + _KEYS


def of_kind(manifests: Sequence[Manifest], *kinds: str) -> list[Manifest]:
    """Those that are of one of the kinds."""
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def text(manifests: Sequence[Manifest]) -> str:
    """YAML that `kubectl apply -f -` takes."""
    return yaml.safe_dump_all(manifests, sort_keys=False, explicit_start=True)


def read(folder: Path, stands_for: Mapping[str, str]) -> list[Manifest]:
    """The manifests of a folder, in its order, with what its texts stand for in their place."""
    return [_replaced(manifest, stands_for) for manifest in _files(folder)]


def _files(folder: Path) -> Iterator[Manifest]:
    for name in yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]:
        path = folder / name
        if path.is_dir():
            yield from _files(path)
        else:
            yield yaml.safe_load(path.read_text())


def _replaced(value: Any, stands_for: Mapping[str, str]) -> Any:
    """A copy in which every text that is a key of `stands_for`, whole, is what it stands for.

    But for arguments of commands, whose words are no names.
    """
    if isinstance(value, dict):
        return {key: _replaced(inner, {} if key == "args" else stands_for) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replaced(inner, stands_for) for inner in value]
    return stands_for.get(value, value) if isinstance(value, str) else value
