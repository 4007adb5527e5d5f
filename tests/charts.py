"""The chart, rendered by Helm as an installation would be."""

from __future__ import annotations

import functools
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from helm.reference import CHART

RELEASE = "modelyard"
PIPELINES, INFERENCE = f"{RELEASE}-pipelines", f"{RELEASE}-inference"
"""The namespaces of the default values, besides the release's, which is called as the release."""
EXAMPLES = sorted(path.stem for path in (CHART / "examples").glob("*.yaml"))
CASES = {"default": (), **{name: (name,) for name in EXAMPLES}, "all-examples": tuple(EXAMPLES)}
"""Name → the example files whose values are given."""
EVERY_CASE = pytest.mark.parametrize("objects", CASES, indirect=True)
"""The test is given what the chart makes of the default values, then of each example's."""

Object = dict[str, Any]


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("helm")
    if program is None:
        pytest.skip("no `helm` on PATH, so the chart was NOT tested; https://helm.sh/docs/intro/install")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120)


def template(
    *settings: str, examples: tuple[str, ...] = (), more: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    return helm(
        *("template", RELEASE, str(CHART), f"--namespace={RELEASE}", "--kube-version=1.34"),
        *(f"--values={CHART / 'examples' / name}.yaml" for name in examples),
        *(f"--set={setting}" for setting in settings),
        *more,
    )


@functools.cache
def manifests(*settings: str, examples: tuple[str, ...] = ()) -> str:
    result = template(*settings, examples=examples)
    assert result.returncode == 0, result.stderr
    return result.stdout


def render(*settings: str, examples: tuple[str, ...] = ()) -> list[Object]:
    """The objects that the chart makes of these values."""
    return [found for found in yaml.safe_load_all(manifests(*settings, examples=examples)) if found]


def refusal(*settings: str) -> str:
    """What Helm says to values that are wrong."""
    result = template(*settings)
    assert result.returncode != 0
    return result.stderr


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    return [found for found in objects if found["kind"] == kind]


def one(objects: list[Object], kind: str, name: str, namespace: str = RELEASE) -> Object:
    (found,) = [
        each
        for each in of_kind(objects, kind)
        if (each["metadata"]["name"], each["metadata"]["namespace"]) == (name, namespace)
    ]
    return found


def component(found: Object) -> str:
    return str(found["metadata"]["labels"]["app.kubernetes.io/component"])


def pods(objects: list[Object]) -> dict[str, Object]:
    """Component → template of its pods."""
    found = {}
    for each in objects:
        spec = each.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            found[component(each)] = spec["template"]
    return found


def containers(objects: list[Object]) -> dict[str, Object]:
    """Component → its one container."""
    found = {}
    for name, pod in pods(objects).items():
        (found[name],) = pod["spec"]["containers"]
    return found


def environment(container: Object) -> dict[str, Any]:
    """Name → value, or (Secret, key)."""
    found: dict[str, Any] = {}
    for each in container["env"]:
        if "value" in each:
            found[each["name"]] = each["value"]
        else:
            reference = each["valueFrom"]["secretKeyRef"]
            found[each["name"]] = (reference["name"], reference["key"])
    return found
