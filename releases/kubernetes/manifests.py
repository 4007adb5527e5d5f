"""The manifests of an endpoint: the files in k8s/endpoint, for one use case and one image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from settings import PROJECT

FOLDER = PROJECT / "k8s" / "endpoint"
NAME = "app.kubernetes.io/name"
COMPONENT = "app.kubernetes.io/component"
TRAFFIC = "modelyard.dev/traffic"
VERSION = "modelyard.dev/model-version"
BENTO = "modelyard.dev/bento"

Manifest = dict[str, Any]

_CANARY = "-canary"

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
) -> list[Manifest]:
    """All objects of an endpoint, in the order in which they are applied.

    `image` is a reference by digest; `pull_secrets` are names of Secrets in `namespace`.
    """
    stands_for = {_NAME: name_of(use_case), _IMAGE: image}
    found = [_replaced(manifest, stands_for) for manifest in _files()]
    for manifest in found:
        manifest["metadata"]["namespace"] = namespace
        if manifest["kind"] == "ServiceAccount" and pull_secrets:
            manifest["imagePullSecrets"] = [{"name": name} for name in pull_secrets]
        if manifest["kind"] == "Deployment":
            template = manifest["spec"]["template"]["metadata"]
            template["labels"][VERSION] = str(model_version)
            template["annotations"] = {BENTO: bento}
    return found


def canary(manifests: Sequence[Manifest], *, replicas: int, traffic: bool) -> Manifest:
    """The Deployment beside that of `manifests`: the same pods under other labels."""
    (stable,) = of_kind(manifests, "Deployment")
    made: Manifest = _replaced(stable, {"stable": "canary"})
    made["metadata"]["name"] += _CANARY
    made["spec"]["replicas"] = replicas
    made["spec"]["template"]["metadata"]["labels"][TRAFFIC] = "on" if traffic else "off"
    return made


def name_of(use_case: str) -> str:
    """What the objects of a use case are called: Kubernetes' names have no underscores."""
    return use_case.replace("_", "-")


def canary_name(use_case: str) -> str:
    """What the second Deployment of a use case is called."""
    return name_of(use_case) + _CANARY


def of_kind(manifests: Sequence[Manifest], *kinds: str) -> list[Manifest]:
    """Those that are of one of the kinds."""
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def text(manifests: Sequence[Manifest]) -> str:
    """YAML that `kubectl apply -f -` takes."""
    return yaml.safe_dump_all(manifests, sort_keys=False, explicit_start=True)


def _files() -> list[Manifest]:
    listed = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    return [yaml.safe_load((FOLDER / file).read_text()) for file in listed]


def _replaced(value: Any, stands_for: dict[str, str]) -> Any:
    """A copy in which every text that is a key of `stands_for`, whole, is what it stands for."""
    if isinstance(value, dict):
        return {key: _replaced(inner, stands_for) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replaced(inner, stands_for) for inner in value]
    return stands_for.get(value, value) if isinstance(value, str) else value
