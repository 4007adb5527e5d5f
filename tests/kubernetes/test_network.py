"""Who reaches whom, tried out by pods: what is not named by the chart's policies does not pass."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.kubernetes import probes
from tests.kubernetes.cluster import Platform, command, wait_for
from tests.kubernetes.probes import Address, Probe, started

NAMES = "the names of Services"
API = "Kubernetes' API"
PUBLIC = "public addresses"

REACHED = {
    "zenml": {"postgresql", "s3"},
    "mlflow": {"postgresql", "s3"},
    "step": {"zenml", "mlflow", "s3", PUBLIC},
    "orchestrator": {"zenml", "mlflow", "s3", PUBLIC, API},
    "pipelines": {"zenml", "mlflow", "s3", PUBLIC},
    "endpoint": {"postgresql"},
    "guest": set(),
    "neighbour": set(),
    "elsewhere": {PUBLIC, API},
    "walled": {PUBLIC, API, "elsewhere"},
}
"""Who asks → all that it reaches, besides names and itself.

`pipelines`, `guest` and `neighbour` are pods without a role in the namespaces of pipelines, of endpoints and
of the release. Those called `elsewhere` and `walled` are in another one, where a policy of the test lets
nobody into `walled`. That `walled` reaches `elsewhere` shows that what listens in these pods can be heard.
"""


@pytest.fixture(scope="module")
def elsewhere(platform: Platform) -> Iterator[str]:
    """A namespace that has nothing to do with the platform."""
    name = f"{platform.namespace}-elsewhere"
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "walled", "namespace": name},
        "spec": {"podSelector": {"matchLabels": {"walled": "in"}}, "policyTypes": ["Ingress"]},
    }
    command("kubectl", "create", "namespace", name)
    command("kubectl", "apply", "--filename=-", stdin=json.dumps(policy))
    yield name
    command("kubectl", "delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def asking(platform: Platform, elsewhere: str) -> Iterator[dict[str, tuple[str, str]]]:
    """Who asks → namespace and pod."""
    role = "modelyard.dev/role"
    pods = [
        Probe(platform.pipelines, "step", {role: "step"}, f"{platform.release}-step"),
        Probe(platform.pipelines, "orchestrator", {role: "orchestrator"}, f"{platform.release}-orchestrator"),
        Probe(platform.pipelines, "pipelines"),
        Probe(platform.inference, "endpoint", {"app.kubernetes.io/part-of": "modelyard"}),
        Probe(platform.inference, "guest"),
        Probe(platform.namespace, "neighbour"),
        Probe(elsewhere, "elsewhere"),
        Probe(elsewhere, "walled", {"walled": "in"}),
    ]
    servers = {
        name: (platform.namespace, f"deployment/{platform.release}-{name}") for name in ("zenml", "mlflow")
    }
    with started(platform, *pods):
        yield servers | {each.name: (each.namespace, f"pod/{each.name}") for each in pods}


@pytest.fixture(scope="module")
def targets(platform: Platform, asking: dict[str, tuple[str, str]]) -> dict[str, Address]:
    """All that might be reached, by address, so that no name stands in between."""
    ports = {"zenml": 8237, "mlflow": 5000, "postgresql": 5432, "s3": 7070}
    (kubernetes,) = platform.get("service", "kubernetes", namespace="default")
    return {
        **{name: probes.address(platform.servers(name)[0], port) for name, port in ports.items()},
        **{
            name: probes.address(platform.get(pod, namespace=namespace)[0], probes.PORT)
            for name, (namespace, pod) in asking.items()
            if pod.startswith("pod/")
        },
        API: (kubernetes["spec"]["clusterIP"], 443),
        PUBLIC: ("1.1.1.1", 443),
        NAMES: (f"{platform.release}-zenml.{platform.namespace}.svc", None),
    }


@pytest.fixture(scope="module")
def there(asking: dict[str, tuple[str, str]], targets: dict[str, Address]) -> set[str]:
    """Targets that this cluster has: `elsewhere` asks for those that nobody forbids it.

    Policies are objects that a cluster may have without enforcing them; then nothing here can be tested.
    """

    def walled() -> set[str] | None:
        found = probes.reached(*asking["elsewhere"], targets)
        return None if "walled" in found else found

    try:
        found = wait_for(walled, "a policy enforced", seconds=30)
    except AssertionError:
        pytest.skip("this cluster does not enforce network policies, so NONE of the chart's was tested")
    return targets.keys() - ({PUBLIC} - found)


@pytest.mark.parametrize("who", REACHED)
def test_what_is_named_passes_and_nothing_else_does(
    who: str, asking: dict[str, tuple[str, str]], targets: dict[str, Address], there: set[str]
) -> None:
    expected = (REACHED[who] | {NAMES}) & there
    others = {name: address for name, address in targets.items() if name != who}
    found: set[str] = set()

    def as_expected() -> bool:
        found.clear()
        found.update(probes.reached(*asking[who], others))
        return found == expected

    # Pods are known to those who enforce policies soon after they start, not at once.
    wait_for(as_expected, lambda: f"{sorted(expected)} and nothing else, but {sorted(found)}", seconds=20)
