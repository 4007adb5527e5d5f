"""What `stream` applies on a cluster are the files in k8s/stream, with the images of what serves."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from releases.kubernetes import manifests, stream
from releases.kubernetes.manifests import Manifest, of_kind
from releases.kubernetes.place import Place
from releases.kubernetes.release import Wanted
from releases.kubernetes.stream import Workers
from tests.unit.releases.test_manifests import DIGEST, IMAGE, by_name, texts

PLATFORM = "registry.example.com/team/modelyard:1"
WANTED = Wanted("house_prices", 3, "house_prices:3-0123456789ab", IMAGE, "a test asked for it")


def place() -> Place:
    nowhere: Any = None
    return Place(nowhere, "models", nowhere, "me", image=PLATFORM, pull_secrets=("login",))


def rendered(workers: Workers | None = None, address: str = "broker:9092") -> list[Manifest]:
    return stream.render(place(), WANTED, workers or Workers(), address, "17")


def deployment(found: list[Manifest]) -> Manifest:
    (one,) = of_kind(found, "Deployment")
    return one


def test_every_object_is_the_use_cases_own_and_no_other_streams() -> None:
    found = rendered()
    assert {(each["metadata"]["name"], each["metadata"]["namespace"]) for each in found} == {
        ("house-prices-stream", "models")
    }
    labels = deployment(found)["spec"]["template"]["metadata"]["labels"]
    for each in found:
        for chosen in (each.get("spec", {}).get("selector"), each.get("spec", {}).get("podSelector")):
            assert chosen is None or chosen["matchLabels"].items() <= labels.items()
    assert not {"modelyard-endpoint", "modelyard"} & {
        each["image"]
        for kind in ("initContainers", "containers")
        for each in deployment(found)["spec"]["template"]["spec"][kind]
    }


def test_workers_run_the_platform_by_the_model_of_the_release() -> None:
    template = deployment(rendered(Workers(["--group=mine"])))["spec"]["template"]
    (bringing,), (worker,) = template["spec"]["initContainers"], template["spec"]["containers"]
    assert (bringing["image"], worker["image"]) == (IMAGE, PLATFORM)
    assert worker["args"][:4] == ["python", "run.py", "stream", "$(USE_CASE)"]
    assert worker["args"][-1] == "--group=mine"
    assert {"name": "USE_CASE", "value": "house_prices"} in worker["env"]
    assert template["metadata"]["labels"][manifests.VERSION] == "3"
    assert template["metadata"]["annotations"][manifests.BENTO] == WANTED.bento
    assert of_kind(rendered(), "ServiceAccount")[0]["imagePullSecrets"] == [{"name": "login"}]


def test_pods_begin_anew_when_something_else_is_asked_for_or_the_secret_is_another() -> None:
    def template(*arguments: str, of: str = "17") -> Any:
        return deployment(stream.render(place(), WANTED, Workers(arguments), "b", of))["spec"]["template"]

    assert template() == template()
    marks = [each["metadata"]["annotations"]["modelyard.dev/asked"] for each in (
        template(), template("--group=mine"), template(of="18"),
    )]  # fmt: skip
    assert len(set(marks)) == 3


def test_how_many_there_are_is_the_autoscalers_unless_somebody_says_it() -> None:
    (scaler,) = of_kind(rendered(), "HorizontalPodAutoscaler")
    assert scaler["spec"]["scaleTargetRef"]["name"] == "house-prices-stream"
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (1, 6)
    (fixed,) = of_kind(rendered(Workers(count=9)), "HorizontalPodAutoscaler")
    assert (fixed["spec"]["minReplicas"], fixed["spec"]["maxReplicas"]) == (9, 9)
    assert "replicas" not in deployment(rendered(Workers(count=9)))["spec"]


@pytest.mark.parametrize(
    ("address", "beyond"),
    [
        ("broker:9092", []),
        ("one:9094,two:9096", [9094, 9096]),
        ("[fd00::1]:9094,two:9093", [9094]),
        ("b", []),
    ],
)
def test_a_broker_is_reached_at_its_port_whichever_it_is(address: str, beyond: list[int]) -> None:
    (policy,) = of_kind(rendered(address=address), "NetworkPolicy")
    assert [port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]] == [
        *(53, 53, 9092, 9093, 5432),
        *beyond,
    ]


def test_kustomize_makes_the_same_of_the_folder(tmp_path: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("no `kubectl` on PATH, so k8s/stream was NOT compared with what is deployed")
    shutil.copytree(stream.FOLDER, tmp_path / "stream")
    repository, _, _ = IMAGE.partition(":taxi")
    content = {
        "resources": ["stream"],
        "namespace": "models",
        "images": [
            {"name": "modelyard", "newName": PLATFORM.rpartition(":")[0], "newTag": "1"},
            {"name": "modelyard-endpoint", "newName": repository, "digest": DIGEST},
        ],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(content))
    command = ["kubectl", "kustomize", str(tmp_path)]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    here: Any = None
    wanted = Wanted("taxi", 3, "x", f"{repository}@{DIGEST}", "")
    same = stream.render(Place(here, "models", here, "me", image=PLATFORM), wanted, Workers(), "broker:9092")
    template = deployment(same)["spec"]["template"]["metadata"]
    del template["labels"][manifests.VERSION], template["annotations"]
    named = manifests.text(same).replace("taxi-stream", "stream")
    assert by_name(yaml.safe_load_all(made)) == by_name(yaml.safe_load_all(named))


def test_an_endpoint_of_the_same_use_case_has_nothing_to_do_with_it() -> None:
    endpoint = manifests.render("house_prices", IMAGE, namespace="models", model_version=3, bento="x")
    labels = deployment(rendered())["spec"]["template"]["metadata"]["labels"]
    for each in endpoint:
        for chosen in (each.get("spec", {}).get("selector"), each.get("spec", {}).get("podSelector")):
            chosen = (chosen or {}).get("matchLabels", chosen)
            assert chosen is None or not chosen.items() <= labels.items()
    assert not {"house-prices"} & set(texts(rendered()))
