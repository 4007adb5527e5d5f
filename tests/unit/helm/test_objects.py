"""What the chart makes, as a whole: names, selectors, replicas, migrations, and what survives."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from kubernetes import client

from settings import PROJECT
from stacks.platform import check_metrics
from tests import charts
from tests.charts import EVERY_CASE, INFERENCE, PIPELINES, RELEASE, Object


@pytest.mark.parametrize("examples", charts.CASES.values(), ids=charts.CASES.keys())
def test_rendered_twice_it_is_the_same_to_the_byte(examples: tuple[str, ...]) -> None:
    assert charts.template(examples=examples).stdout == charts.manifests(examples=examples)


@EVERY_CASE
def test_every_field_is_one_that_kubernetes_has(objects: list[Object]) -> None:
    for found in objects:
        group, _, version = found["apiVersion"].rpartition("/")
        model = f"{version.capitalize()}{found['kind']}"
        assert unknown(found, model) == [], (group, found["kind"], found["metadata"]["name"])


def test_names_that_yaml_takes_for_numbers_or_truths_stay_names() -> None:
    names = (
        "pipelines.namespace=1",
        "inference.namespace=2",
        "imagePullSecrets={3}",
        "postgresql.caSecret=4",
    )
    secrets = [f"{key}.existingSecret=5" for key in ("login", "keys")]
    result = charts.helm(
        *("template", "y", str(charts.CHART), "--namespace=6", "--kube-version=1.34"),
        *(f"--set-string={setting}" for setting in [*names, *secrets]),
    )
    objects = [found for found in yaml.safe_load_all(result.stdout) if found]
    assert objects, result.stderr
    for found in objects:
        model = f"{found['apiVersion'].rpartition('/')[2].capitalize()}{found['kind']}"
        assert unknown(found, model) == [], (found["kind"], found["metadata"]["name"])


def unknown(value: Any, model: str, path: str = "") -> list[str]:
    """Paths of the fields that the client's model of the object doesn't have, or not as a text."""
    inner = re.fullmatch(r"(?:list\[|dict\(str, )(.+)[\])]", model)
    if inner:
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        return [wrong for key, part in parts for wrong in unknown(part, inner[1], f"{path}.{key}")]
    known = getattr(client, model, None)
    if known is None or not hasattr(known, "attribute_map"):  # a text, a number, a quantity
        return [path] if model == "str" and not isinstance(value, str) else []
    types = {known.attribute_map[name]: kind for name, kind in known.openapi_types.items()}
    wrong = [f"{path}.{key}" for key in value if key not in types]
    return wrong + [
        each for key in value.keys() & types for each in unknown(value[key], types[key], f"{path}.{key}")
    ]


@EVERY_CASE
def test_no_two_objects_have_one_name_and_each_is_in_one_of_three_namespaces(objects: list[Object]) -> None:
    names = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects]
    assert len(names) == len(set(names))
    assert {namespace for kind, namespace, _ in names if kind != "Namespace"} == {
        RELEASE,
        PIPELINES,
        INFERENCE,
    }


@EVERY_CASE
def test_whatever_selects_pods_selects_those_of_its_own_component(objects: list[Object]) -> None:
    labels = {name: pod["metadata"]["labels"] for name, pod in charts.pods(objects).items()}
    for kind in ("Service", "Deployment", "StatefulSet", "PodDisruptionBudget"):
        for found in charts.of_kind(objects, kind):
            selector = found["spec"]["selector"]
            selector = selector.get("matchLabels", selector)
            selected = [name for name, own in labels.items() if selector.items() <= own.items()]
            assert selected == [charts.component(found)], (kind, found["metadata"]["name"])


@EVERY_CASE
def test_services_lead_to_ports_that_containers_have(objects: list[Object]) -> None:
    containers = charts.containers(objects)
    for service in charts.of_kind(objects, "Service"):
        there = {
            port["name"]: port["containerPort"] for port in containers[charts.component(service)]["ports"]
        }
        (port,) = service["spec"]["ports"]
        assert there[port["name"]] == port["port"]


@EVERY_CASE
def test_every_server_may_be_moved_one_pod_at_a_time(objects: list[Object]) -> None:
    servers = {charts.component(each) for each in objects if each["kind"] in ("Deployment", "StatefulSet")}
    budgets = {
        charts.component(each): each["spec"] for each in charts.of_kind(objects, "PodDisruptionBudget")
    }
    assert budgets.keys() == servers
    assert all(budget["maxUnavailable"] == 1 for budget in budgets.values())


def test_with_high_availability_two_of_each_server_are_spread_over_nodes_and_never_both_gone() -> None:
    objects = charts.render(examples=("high-availability",))
    for name in ("zenml", "mlflow"):
        spec = charts.one(objects, "Deployment", f"{RELEASE}-{name}")["spec"]
        assert spec["replicas"] == 2
        assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        spread = spec["template"]["spec"]["topologySpreadConstraints"]
        assert [each["topologyKey"] for each in spread] == [
            "kubernetes.io/hostname",
            "topology.kubernetes.io/zone",
        ]
        for each in spread:
            assert (
                each["labelSelector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
            )


def test_an_autoscaler_decides_on_replicas_in_place_of_the_values() -> None:
    objects = charts.render("mlflow.autoscaling.enabled=true", "mlflow.autoscaling.maxReplicas=5")
    assert "replicas" not in charts.one(objects, "Deployment", "modelyard-mlflow")["spec"]
    (scaler,) = charts.of_kind(objects, "HorizontalPodAutoscaler")
    assert scaler["spec"]["scaleTargetRef"]["name"] == "modelyard-mlflow"
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (2, 5)


def test_the_namespaces_demand_restricted_pods_and_outlive_the_release(objects: list[Object]) -> None:
    namespaces = {each["metadata"]["name"]: each["metadata"] for each in charts.of_kind(objects, "Namespace")}
    assert namespaces.keys() == {PIPELINES, INFERENCE}
    for metadata in namespaces.values():
        assert metadata["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        assert metadata["annotations"]["helm.sh/resource-policy"] == "keep"
        # As a hook it would be deleted and made anew by each upgrade.
        assert "helm.sh/hook" not in metadata["annotations"]


def test_namespaces_may_be_someone_elses() -> None:
    objects = charts.render("namespaces.create=false", "pipelines.namespace=acme-runs")
    assert charts.of_kind(objects, "Namespace") == []
    assert charts.one(objects, "ServiceAccount", "modelyard-step", "acme-runs")


def test_the_volume_of_artifacts_outlives_the_release(objects: list[Object]) -> None:
    claim = charts.one(objects, "PersistentVolumeClaim", "modelyard-s3")
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def migration(*settings: str) -> str:
    (name,) = [
        each["metadata"]["name"]
        for each in charts.of_kind(charts.render(*settings), "Job")
        if charts.component(each) == "migrate"
    ]
    return str(name)


def test_another_image_or_configuration_makes_another_migration_and_nothing_else_does() -> None:
    usual = migration()
    assert re.fullmatch(r"modelyard-migrate-[0-9a-f]{8}", usual)
    assert migration("zenml.replicas=2", "backup.keep=3") == usual
    others = {
        migration("image.tag=0.2.0"),
        migration("s3.bucket=other"),
        migration("login.existingSecret=mine"),
    }
    assert len(others | {usual}) == 4


def test_the_migration_is_an_ordinary_job_that_is_kept(objects: list[Object]) -> None:
    job = charts.one(objects, "Job", migration())
    assert "annotations" not in job["metadata"]
    # Deleted by itself it would be missing to whoever compares the cluster with the chart.
    assert "ttlSecondsAfterFinished" not in job["spec"]


def test_endpoints_are_monitored_where_values_say_so() -> None:
    objects = charts.render("serviceMonitor.enabled=true", "serviceMonitor.labels.release=prometheus")
    monitor = charts.one(objects, "ServiceMonitor", "modelyard-endpoints", INFERENCE)
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    (scraped,) = monitor["spec"]["endpoints"]
    assert (scraped["port"], scraped["path"], scraped["interval"]) == ("http", "/metrics", "30s")
    # Alerts and dashboard are the same, whichever of both is used.
    pods = yaml.safe_load((PROJECT / "k8s" / "monitoring" / "podmonitor.yaml").read_text())
    assert scraped["relabelings"] == pods["spec"]["podMetricsEndpoints"][0]["relabelings"]
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": [INFERENCE]}


def test_what_checks_found_is_asked_of_mlflows_server_with_its_login_where_endpoints_are_monitored() -> None:
    objects = charts.render("serviceMonitor.enabled=true", "login.existingSecret=mine")
    monitor = charts.one(objects, "ServiceMonitor", "modelyard-checks")
    (scraped,) = monitor["spec"]["endpoints"]
    assert scraped["path"] == check_metrics.PATH
    # The operator reads it in the namespace of the object.
    login = {key: {"name": "mine", "key": key} for key in ("username", "password")}
    assert scraped["basicAuth"] == login
    service = charts.one(objects, "Service", "modelyard-mlflow")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert scraped["port"] in [port["name"] for port in service["spec"]["ports"]]
    assert charts.of_kind(charts.render(), "ServiceMonitor") == []


def test_backups_are_made_when_and_as_many_as_the_values_say() -> None:
    objects = charts.render("backup.schedule=5 4 * * 0", "backup.keep=3")
    (backup,) = charts.of_kind(objects, "CronJob")
    assert backup["spec"]["schedule"] == "5 4 * * 0"
    container = charts.containers(objects)["backup"]
    assert container["command"] == ["python", "-m", "upkeep.databases", "save"]
    assert charts.environment(container)["MODELYARD_KEEP_BACKUPS"] == "3"
    assert charts.of_kind(charts.render("backup.enabled=false"), "CronJob") == []
