"""Where the platform is reached: what a laptop reads, and how people get to the servers."""

from __future__ import annotations

import json

from tests import charts
from tests.charts import INFERENCE, PIPELINES


def connection(*settings: str, examples: tuple[str, ...] = ()) -> dict[str, str]:
    objects = charts.render(*settings, examples=examples)
    return dict(charts.one(objects, "ConfigMap", "modelyard-connection")["data"])


def test_a_laptop_finds_all_it_needs_in_one_place() -> None:
    assert connection(
        "image.repository=ghcr.io/acme/modelyard",
        "servingImage.repository=ghcr.io/acme/modelyard-serving",
        "imagePullSecrets={one,two}",
    ) == {
        "zenml-url": "http://modelyard-zenml.modelyard.svc:8237",
        "mlflow-url": "http://modelyard-mlflow.modelyard.svc:5000",
        "s3-endpoint": "http://modelyard-s3.modelyard.svc:7070",
        "zenml-external-url": "",
        "mlflow-external-url": "",
        "s3-external-endpoint": "",
        "s3-region": "us-east-1",
        "bucket": "modelyard",
        "registry": "ghcr.io/acme",
        "namespace": "modelyard",
        "image": "ghcr.io/acme/modelyard:0.1.0",
        "serving-image": "ghcr.io/acme/modelyard-serving:0.1.0",
        "registry-secret": "",
        "registry-insecure": "false",
        "gateways": "[]",
        "endpoints-hostname": "",
        "image-pull-secrets": "one,two",
        "pipelines-namespace": PIPELINES,
        "inference-namespace": INFERENCE,
        "orchestrator-service-account": "modelyard-orchestrator",
        "step-service-account": "modelyard-step",
        "login-secret": "modelyard-login",
        "s3-secret": "modelyard-s3",
        "alerts-secret": "",
        "alerts-key": "urls",
        "ingestion-secret": "modelyard-ingestion-database",
    }


def test_of_alerts_laptops_are_told_where_their_urls_are_and_no_url() -> None:
    told = connection("alerts.existingSecret=people", "alerts.key=apprise")
    assert (told["alerts-secret"], told["alerts-key"]) == ("modelyard-alerts", "apprise")


def test_gateways_of_endpoints_are_told_to_releases_which_may_then_make_routes() -> None:
    settings = ("inference.gateways[0].name=public", "inference.hostname=models.example.com")
    told = connection(*settings)
    assert json.loads(told["gateways"]) == [{"name": "public"}]
    assert told["endpoints-hostname"] == "models.example.com"
    for given, routes in ((settings, ["httproutes"]), ((), [])):
        role = charts.one(charts.render(*given), "Role", "modelyard-releaser", INFERENCE)
        named = [
            rule["resources"] for rule in role["rules"] if "gateway.networking.k8s.io" in rule["apiGroups"]
        ]
        assert named == ([routes] if routes else [])


def test_addresses_for_people_are_told_to_laptops_and_to_the_servers() -> None:
    examples = ("external-s3", "high-availability")
    told = connection(examples=examples)
    assert told["zenml-external-url"] == "https://zenml.example.com"
    assert told["mlflow-external-url"] == "https://mlflow.example.com"
    assert told["s3-external-endpoint"] == told["s3-endpoint"] == "https://s3.example.com:9000"
    containers = charts.containers(charts.render(examples=examples))
    assert charts.environment(containers["zenml"])["ZENML_SERVER_SERVER_URL"] == "https://zenml.example.com"
    # Without it MLflow refuses what its own pages send from there.
    origins = charts.environment(containers["mlflow"])["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"]
    assert origins == "https://mlflow.example.com"


def test_an_ingress_leads_the_host_of_the_address_to_its_server() -> None:
    objects = charts.render(examples=("high-availability",))
    spec = charts.one(objects, "Ingress", "modelyard-mlflow")["spec"]
    (rule,) = spec["rules"]
    assert rule["host"] == "mlflow.example.com"
    assert rule["http"]["paths"][0]["backend"]["service"] == {
        "name": "modelyard-mlflow",
        "port": {"name": "http"},
    }
    assert list(charts.one(objects, "Ingress", "modelyard-mlflow")["metadata"]["annotations"].values()) == [
        "0"
    ]
    assert spec["tls"] == [{"hosts": ["mlflow.example.com"], "secretName": "mlflow-tls"}]


def test_a_route_leads_the_host_of_the_address_to_its_server() -> None:
    objects = charts.render(
        "zenml.externalUrl=https://zenml.example.com",
        "zenml.httpRoute.enabled=true",
        "zenml.httpRoute.gateways[0].name=public",
    )
    (route,) = charts.of_kind(objects, "HTTPRoute")
    assert route["spec"] == {
        "parentRefs": [{"name": "public"}],
        "hostnames": ["zenml.example.com"],
        "rules": [{"backendRefs": [{"name": "modelyard-zenml", "port": 8237}]}],
    }
