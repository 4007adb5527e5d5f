"""What a release applies are the files in k8s/endpoint, and by themselves those are an endpoint, too."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from releases.kubernetes import manifests
from releases.kubernetes.manifests import Manifest, of_kind
from serving.process import DRAIN_SECONDS, SHUTDOWN_SECONDS
from serving.worker import LAST_SECONDS, SPOOL_BYTES

DIGEST = f"sha256:{'a' * 64}"
IMAGE = f"registry.example.com/team/modelyard-serving:taxi-3-0123456789ab@{DIGEST}"


@pytest.fixture
def rendered() -> list[Manifest]:
    return manifests.render(
        "taxi",
        IMAGE,
        namespace="models",
        model_version=3,
        bento="taxi:3-0123456789ab",
        pull_secrets=["login"],
    )


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [found for inner in value.values() for found in texts(inner)]
    if isinstance(value, list):
        return [found for inner in value for found in texts(inner)]
    return [value] if isinstance(value, str) else []


def test_every_object_is_the_use_cases_own(rendered: list[Manifest]) -> None:
    assert {(each["metadata"]["name"], each["metadata"]["namespace"]) for each in rendered} == {
        ("taxi", "models")
    }
    assert not {"endpoint", "modelyard-endpoint"} & set(texts(rendered))


def test_a_use_case_whose_name_kubernetes_does_not_take_gets_one_that_it_does() -> None:
    rendered = manifests.render("house_prices", IMAGE, namespace="models", model_version=1, bento="x")
    assert {each["metadata"]["name"] for each in rendered} == {"house-prices"}
    canary = manifests.canary(rendered, replicas=1, traffic=False)
    assert canary["metadata"]["name"] == manifests.canary_name("house_prices") == "house-prices-canary"


def test_pods_run_the_image_by_its_digest_and_say_which_version_it_is(rendered: list[Manifest]) -> None:
    (deployment,) = of_kind(rendered, "Deployment")
    template = deployment["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == IMAGE
    assert template["metadata"]["labels"]["modelyard.dev/model-version"] == "3"
    (account,) = of_kind(rendered, "ServiceAccount")
    assert account["imagePullSecrets"] == [{"name": "login"}]


def test_pods_read_the_api_keys_of_their_own_use_case_when_there_are_any(rendered: list[Manifest]) -> None:
    (deployment,) = of_kind(rendered, "Deployment")
    (volume,) = (each for each in deployment["spec"]["template"]["spec"]["volumes"] if each["name"] == "keys")
    assert volume["secret"]["secretName"] == manifests.keys_name("taxi") == "taxi-keys"
    assert volume["secret"]["optional"]


def test_a_release_does_not_touch_the_size_that_the_autoscaler_gave(rendered: list[Manifest]) -> None:
    (deployment,) = of_kind(rendered, "Deployment")
    assert "replicas" not in deployment["spec"]


def test_no_pod_goes_before_another_one_is_ready(rendered: list[Manifest]) -> None:
    (deployment,) = of_kind(rendered, "Deployment")
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_a_candidate_gets_no_requests_and_a_canary_does(rendered: list[Manifest]) -> None:
    (service,) = of_kind(rendered, "Service")
    (stable,) = of_kind(rendered, "Deployment")

    def served(deployment: Manifest) -> bool:
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        return bool(service["spec"]["selector"].items() <= labels.items())

    assert served(stable)
    assert not served(manifests.canary(rendered, replicas=1, traffic=False))
    assert served(manifests.canary(rendered, replicas=1, traffic=True))


def test_a_canarys_pods_are_not_counted_as_the_deployments(rendered: list[Manifest]) -> None:
    (stable,) = of_kind(rendered, "Deployment")
    canary = manifests.canary(rendered, replicas=2, traffic=True)
    assert canary["metadata"]["name"] == "taxi-canary"
    assert canary["spec"]["replicas"] == 2
    selectors = [each["spec"]["selector"]["matchLabels"] for each in (stable, canary)]
    templates = [each["spec"]["template"]["metadata"]["labels"] for each in (stable, canary)]
    assert [[selector.items() <= labels.items() for labels in templates] for selector in selectors] == [
        [True, False],
        [False, True],
    ]


def test_pods_of_a_candidate_alone_know_how_their_release_proves_itself(rendered: list[Manifest]) -> None:
    before = manifests.text(rendered)

    def told(deployment: Manifest) -> dict[str, str]:
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        return {each["name"]: each["value"] for each in container["env"]}

    (stable,) = of_kind(rendered, "Deployment")
    canary = manifests.canary(rendered, replicas=1, traffic=False, verifier="5f0c")
    assert told(canary) == told(stable) | {"MODELYARD_ENDPOINT_VERIFIER": "5f0c"}
    assert manifests.text(rendered) == before


def test_pods_keep_more_of_the_log_than_they_are_evicted_for(rendered: list[Manifest]) -> None:
    (deployment,) = of_kind(rendered, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (limit,) = (each["emptyDir"]["sizeLimit"] for each in pod["volumes"] if each["name"] == "state")
    assert int(limit.removesuffix("Mi")) * 2**20 > 1.1 * SPOOL_BYTES
    assert pod["terminationGracePeriodSeconds"] > 4 + DRAIN_SECONDS + SHUTDOWN_SECONDS + LAST_SECONDS


def test_two_renderings_share_nothing(rendered: list[Manifest]) -> None:
    before = manifests.text(rendered)
    canary = manifests.canary(rendered, replicas=9, traffic=False)
    canary["spec"]["template"]["spec"]["containers"][0]["image"] = "other"
    assert manifests.text(rendered) == before


def test_a_gateway_leads_to_an_endpoint_by_its_name_and_to_a_canary_by_weight() -> None:
    gateways = [{"name": "public", "namespace": "gateways"}]
    routed = manifests.render(
        "house_prices",
        IMAGE,
        namespace="models",
        model_version=1,
        bento="x",
        gateways=gateways,
        hostname="m.example",
    )
    (route,) = of_kind(routed, "HTTPRoute")
    assert route["spec"]["parentRefs"] == gateways
    assert route["spec"]["hostnames"] == ["m.example"]
    (rule,) = route["spec"]["rules"]
    assert rule["matches"][0]["path"]["value"] == "/house-prices"
    services = {each["metadata"]["name"]: each["spec"]["selector"] for each in of_kind(routed, "Service")}
    assert {backend["name"] for backend in rule["backendRefs"]} == set(services)
    canary = manifests.canary(routed, replicas=1, traffic=False)
    labels = canary["spec"]["template"]["metadata"]["labels"]
    assert [name for name, chosen in services.items() if chosen.items() <= labels.items()] == [
        "house-prices-canary"
    ]
    for share, weights in ((0.0, [100, 0]), (0.1, [90, 10])):
        (weighed,) = manifests.weighted(routed, share)
        assert [backend["weight"] for backend in weighed["spec"]["rules"][0]["backendRefs"]] == weights


def test_without_a_gateway_there_is_no_route(rendered: list[Manifest]) -> None:
    assert manifests.weighted(rendered, 0.1) == of_kind(rendered, "HTTPRoute") == []


@pytest.mark.parametrize(("folder", "gateways"), [("endpoint", []), ("gateway", [{"name": "public"}])])
def test_kustomize_makes_the_same_of_the_folder(
    folder: str, gateways: list[dict[str, str]], tmp_path: Path
) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("no `kubectl` on PATH, so k8s/ was NOT compared with what a release applies")
    shutil.copytree(manifests.FOLDER.parent, tmp_path / "k8s")
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    repository, _, _ = IMAGE.partition(":taxi")
    route = {"target": {"kind": "HTTPRoute"}, "patch": _PARENTS.format(json.dumps(gateways))}
    content = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [f"../k8s/{folder}"],
        "namespace": "models",
        "images": [{"name": "modelyard-endpoint", "newName": repository, "digest": DIGEST}],
        "patches": [route] if gateways else [],
    }
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(content))
    command = ["kubectl", "kustomize", str(overlay)]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    same = manifests.render(
        "endpoint",
        f"{repository}@{DIGEST}",
        namespace="models",
        model_version=3,
        bento="x",
        gateways=gateways,
    )
    (deployment,) = of_kind(same, "Deployment")
    template = deployment["spec"]["template"]["metadata"]
    del template["labels"]["modelyard.dev/model-version"], template["annotations"]
    assert by_name(yaml.safe_load_all(made)) == by_name(same)


_PARENTS = '[{{"op": "replace", "path": "/spec/parentRefs", "value": {}}}]'


def by_name(objects: Iterable[Manifest]) -> dict[tuple[str, str], Manifest]:
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}
