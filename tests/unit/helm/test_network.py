"""Who reaches whom under the chart's network policies: worked out from them as a cluster would."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests import charts
from tests.charts import EVERY_CASE, INFERENCE, PIPELINES, RELEASE, Object


@dataclass(frozen=True)
class Pod:
    """A pod, or with an address alone something outside."""

    namespace: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    address: str = "10.244.0.9"


DNS = Pod("kube-system", {"k8s-app": "kube-dns"})
API_SERVER = Pod(address="10.0.0.2")
INTERNET = Pod(address="93.184.215.14")
STEP = Pod(PIPELINES, {"modelyard.dev/role": "step"})
MOVER = Pod(PIPELINES, {"modelyard.dev/role": "step", "modelyard.dev/database": "true"})
ORCHESTRATOR = Pod(PIPELINES, {"modelyard.dev/role": "orchestrator"})
ENDPOINT = Pod(INFERENCE, {"app.kubernetes.io/name": "taxi", "app.kubernetes.io/part-of": "modelyard"})
GUEST = Pod(INFERENCE, {"app": "of somebody"})
STRANGER = Pod("elsewhere", {})
NEIGHBOUR = Pod(RELEASE, {})


def platform(objects: list[Object]) -> dict[str, Pod]:
    return {name: Pod(RELEASE, pod["metadata"]["labels"]) for name, pod in charts.pods(objects).items()}


def reaches(objects: list[Object], source: Pod, target: Pod, port: int) -> bool:
    """Whether both the policies of the one and those of the other let it pass."""
    out = _allowed(objects, source, target, port, "egress", "to")
    return out and _allowed(objects, target, source, port, "ingress", "from")


def _allowed(objects: list[Object], pod: Pod, peer: Pod, port: int, way: str, key: str) -> bool:
    mine = [
        policy["spec"]
        for policy in charts.of_kind(objects, "NetworkPolicy")
        if policy["metadata"]["namespace"] == pod.namespace
        and way.capitalize() in policy["spec"]["policyTypes"]
        and _selects(policy["spec"]["podSelector"], pod.labels)
    ]
    rules = [rule for policy in mine for rule in policy.get(way, [])]
    return not mine or any(
        any(allowed["port"] == port for allowed in rule["ports"])
        and (key not in rule or any(_is(one, pod, peer) for one in rule[key]))
        for rule in rules
    )


def _is(rule: dict[str, Any], pod: Pod, peer: Pod) -> bool:
    if "ipBlock" in rule:
        address = ipaddress.ip_address(peer.address)
        inside = address in ipaddress.ip_network(rule["ipBlock"]["cidr"])
        return inside and not any(
            address in ipaddress.ip_network(cidr) for cidr in rule["ipBlock"].get("except", [])
        )
    if not peer.namespace:
        return False
    names = {"kubernetes.io/metadata.name": peer.namespace}
    here = (
        _selects(rule["namespaceSelector"], names)
        if "namespaceSelector" in rule
        else peer.namespace == pod.namespace
    )
    return here and _selects(rule.get("podSelector", {}), peer.labels)


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    return wanted and all(
        labels.get(one["key"]) in one["values"]
        for one in selector.get("matchExpressions", [])
        if one["operator"] == "In"
    )


@EVERY_CASE
def test_each_of_the_three_namespaces_denies_what_is_not_named(objects: list[Object]) -> None:
    for namespace in (RELEASE, PIPELINES, INFERENCE):
        policy = charts.one(objects, "NetworkPolicy", "modelyard-default", namespace)["spec"]
        assert policy["podSelector"] == {}
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        assert "ingress" not in policy


@pytest.mark.parametrize("name", ["zenml", "mlflow", "migrate", "backup"])
def test_servers_and_jobs_reach_databases_and_artifacts_and_nothing_else(
    objects: list[Object], name: str
) -> None:
    pods = platform(objects)
    assert reaches(objects, pods[name], pods["postgresql"], 5432)
    assert reaches(objects, pods[name], pods["s3"], 7070)
    assert reaches(objects, pods[name], DNS, 53)
    assert not reaches(objects, pods[name], INTERNET, 443)
    assert not reaches(objects, pods[name], API_SERVER, 6443)
    assert not reaches(objects, pods[name], ENDPOINT, 3000)


def test_mlflow_delivers_events_where_systems_are_to_be_told_and_zenml_does_not() -> None:
    objects = charts.render(
        "events.existingSecret=systems",
        "events.kafkaSecret=broker",
        "events.egress[0].ports[0].port=8080",
        "events.egress[0].ports[0].protocol=TCP",
        "events.egress[0].to[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name=elsewhere",
    )
    pods = platform(objects)
    assert reaches(objects, pods["mlflow"], INTERNET, 443)
    assert reaches(objects, pods["mlflow"], STRANGER, 8080)
    assert not reaches(objects, pods["mlflow"], INTERNET, 25)
    assert not reaches(objects, pods["mlflow"], API_SERVER, 443)
    assert not reaches(objects, pods["zenml"], INTERNET, 443)
    environment = {name: charts.environment(charts.containers(objects)[name]) for name in ("mlflow", "zenml")}
    assert environment["mlflow"]["MODELYARD_EVENTS"] == ("systems", "urls")
    assert environment["mlflow"]["MODELYARD_EVENTS_KEY"] == ("systems", "key")
    assert environment["mlflow"]["MODELYARD_KAFKA"] == ("broker", "address")
    assert environment["mlflow"]["MODELYARD_KAFKA_PASSWORD"] == ("broker", "password")
    assert not {"MODELYARD_EVENTS", "MODELYARD_KAFKA"} & environment["zenml"].keys()


def test_of_pipelines_pods_only_those_that_move_data_reach_postgresql(objects: list[Object]) -> None:
    pods = platform(objects)
    assert reaches(objects, MOVER, pods["postgresql"], 5432)
    assert not reaches(objects, MOVER, API_SERVER, 443)
    assert not reaches(objects, STEP, pods["postgresql"], 5432)


@pytest.mark.parametrize("pod", [STEP, ORCHESTRATOR], ids=["step", "orchestrator"])
def test_pipelines_reach_both_servers_artifacts_and_what_is_public(objects: list[Object], pod: Pod) -> None:
    pods = platform(objects)
    assert reaches(objects, pod, pods["zenml"], 8237)
    assert reaches(objects, pod, pods["mlflow"], 5000)
    assert reaches(objects, pod, pods["s3"], 7070)
    assert reaches(objects, pod, DNS, 53)
    assert reaches(objects, pod, INTERNET, 443)
    assert not reaches(objects, pod, pods["postgresql"], 5432)
    assert not reaches(objects, pod, INTERNET, 25)


def test_only_the_orchestrators_pod_and_those_that_make_secrets_reach_kubernetes(
    objects: list[Object],
) -> None:
    pods = platform(objects)
    assert reaches(objects, ORCHESTRATOR, API_SERVER, 6443)
    assert reaches(objects, pods["secrets"], API_SERVER, 6443)
    assert reaches(objects, pods["secrets-copy"], API_SERVER, 443)
    assert not reaches(objects, STEP, API_SERVER, 6443)
    assert not reaches(objects, STEP, API_SERVER, 443)
    narrow = charts.render("networkPolicy.apiServer.cidrs={10.0.0.2/32}")
    assert reaches(narrow, ORCHESTRATOR, API_SERVER, 6443)
    assert not reaches(narrow, ORCHESTRATOR, STRANGER, 443)


def test_strangers_reach_nothing(objects: list[Object]) -> None:
    ports = {"zenml": 8237, "mlflow": 5000, "s3": 7070, "postgresql": 5432}
    pods = platform(objects)
    for stranger in (STRANGER, NEIGHBOUR, GUEST, INTERNET):
        assert not any(reaches(objects, stranger, pods[name], port) for name, port in ports.items())
        assert not reaches(objects, stranger, STEP, 8080)
        assert not reaches(objects, stranger, ENDPOINT, 3000)


def test_endpoints_reach_the_database_of_the_prediction_log_and_nothing_else(objects: list[Object]) -> None:
    pods = platform(objects)
    assert reaches(objects, ENDPOINT, pods["postgresql"], 5432)
    assert reaches(objects, ENDPOINT, DNS, 53)
    others = {"zenml": 8237, "mlflow": 5000, "s3": 7070}
    assert not any(reaches(objects, ENDPOINT, pods[name], port) for name, port in others.items())
    assert not reaches(objects, ENDPOINT, INTERNET, 443)
    assert not reaches(objects, ENDPOINT, API_SERVER, 6443)
    assert not reaches(objects, ENDPOINT, ENDPOINT, 3000)


def test_databases_start_no_conversation(objects: list[Object]) -> None:
    pods = platform(objects)
    for name in ("postgresql", "s3"):
        for target, port in [(INTERNET, 443), (API_SERVER, 6443), (pods["zenml"], 8237), (STRANGER, 80)]:
            assert not reaches(objects, pods[name], target, port)


def test_the_ingress_controller_reaches_both_servers_and_not_what_is_behind_them() -> None:
    objects = charts.render(examples=("high-availability",))
    pods = platform(objects)
    controller = Pod("ingress-nginx", {})
    assert reaches(objects, controller, pods["zenml"], 8237)
    assert reaches(objects, controller, pods["mlflow"], 5000)
    assert not reaches(objects, controller, pods["s3"], 7070)
    assert not reaches(objects, controller, pods["postgresql"], 5432)


def test_an_external_database_and_an_external_s3_are_reached_by_their_ports_alone() -> None:
    objects = charts.render(examples=("external-database", "external-s3"))
    pods = platform(objects)
    database = Pod("databases", {"cnpg.io/cluster": "metadata"})
    assert reaches(objects, pods["zenml"], database, 5432)
    assert not reaches(objects, pods["zenml"], STRANGER, 5432)
    assert not reaches(objects, STEP, database, 5432)
    assert not reaches(objects, ENDPOINT, database, 5432)
    logged = charts.render("predictionLog.existingSecret=log", examples=("external-database",))
    assert reaches(logged, ENDPOINT, database, 5432)
    assert not reaches(logged, ENDPOINT, STRANGER, 5432)
    for client in (pods["mlflow"], STEP):
        assert reaches(objects, client, INTERNET, 9000)
        assert reaches(objects, client, Pod(address="10.1.2.3"), 9000)


@pytest.mark.parametrize(
    ("endpoint", "port"), [("", 443), ("https://s3.example.com", 443), ("http://minio.storage.svc", 80)]
)
def test_the_port_of_an_external_s3_is_that_of_its_endpoint(endpoint: str, port: int) -> None:
    objects = charts.render("s3.enabled=false", "s3.existingSecret=artifacts", f"s3.endpoint={endpoint}")
    zenml = platform(objects)["zenml"]
    assert [one for one in (80, 443, 7070, 9000) if reaches(objects, zenml, INTERNET, one)] == [port]


def test_the_way_out_of_pipelines_can_be_closed_and_others_opened() -> None:
    objects = charts.render(
        "networkPolicy.internet.enabled=false",
        "networkPolicy.pipelinesEgress[0].to[0].ipBlock.cidr=10.9.0.0/16",
        "networkPolicy.pipelinesEgress[0].ports[0].port=5000",
    )
    assert not reaches(objects, STEP, INTERNET, 443)
    assert reaches(objects, STEP, Pod(address="10.9.1.1"), 5000)
    assert not reaches(objects, STEP, Pod(address="10.8.1.1"), 5000)


def test_pipelines_reach_a_webhook_in_the_cluster_once_it_is_named() -> None:
    rule = "networkPolicy.pipelinesEgress[0]"
    names = r"namespaceSelector.matchLabels.kubernetes\.io/metadata\.name=elsewhere"
    objects = charts.render(f"{rule}.to[0].{names}", f"{rule}.ports[0].port=8080")
    assert reaches(objects, ORCHESTRATOR, STRANGER, 8080)
    assert not reaches(objects, ORCHESTRATOR, Pod("another"), 8080)
    assert not reaches(charts.render(), ORCHESTRATOR, STRANGER, 8080)


def test_prometheus_reaches_endpoints_once_they_are_monitored() -> None:
    objects = charts.render("serviceMonitor.enabled=true")
    (rule,) = charts.one(objects, "NetworkPolicy", "modelyard-endpoints", INFERENCE)["spec"]["ingress"]
    assert rule == {
        "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        "ports": [{"protocol": "TCP", "port": "http"}],
    }


def test_prometheus_reaches_what_checks_found_once_it_is_monitored_and_no_other_server() -> None:
    prometheus = Pod("monitoring", {})
    objects = charts.render("serviceMonitor.enabled=true")
    pods = platform(objects)
    assert reaches(objects, prometheus, pods["mlflow"], 5000)
    assert not reaches(objects, prometheus, pods["zenml"], 8237)
    assert not reaches(objects, STRANGER, pods["mlflow"], 5000)
    assert not reaches(charts.render(), prometheus, pods["mlflow"], 5000)


def test_policies_can_be_left_to_others() -> None:
    assert charts.of_kind(charts.render("networkPolicy.enabled=false"), "NetworkPolicy") == []
