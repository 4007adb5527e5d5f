"""Every pod of the chart: with the fewest rights, bounded, and asked whether it is well."""

from __future__ import annotations

import json
from typing import Any

from tests import charts
from tests.charts import EVERY_CASE, Object

SERVERS = {"zenml", "mlflow", "postgresql", "s3"}
WITH_TOKEN = {"secrets", "secrets-copy"}
"""The only pods that talk to Kubernetes."""


@EVERY_CASE
def test_pods_are_content_with_pod_security_restricted(objects: list[Object]) -> None:
    for name, pod in charts.pods(objects).items():
        security = pod["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] > 0, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert {"hostNetwork", "hostPID", "hostIPC"}.isdisjoint(pod["spec"]), name
        assert {key for volume in pod["spec"]["volumes"] for key in volume} <= {
            *("name", "emptyDir", "secret", "persistentVolumeClaim")
        }, name
        for container in pod["spec"]["containers"] + pod["spec"].get("initContainers", []):
            rights = container["securityContext"]
            assert rights["allowPrivilegeEscalation"] is False, name
            assert rights["capabilities"] == {"drop": ["ALL"]}, name
            assert all("hostPort" not in port for port in container.get("ports", [])), name


@EVERY_CASE
def test_pods_write_only_where_a_volume_is(objects: list[Object]) -> None:
    for name, pod in charts.pods(objects).items():
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        if name in {"postgresql"}:
            volumes.add("data")
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, name
            mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert set(mounts) == volumes, name
            assert mounts["tmp"] == "/tmp", name  # noqa: S108 - in a pod


@EVERY_CASE
def test_only_pods_that_make_secrets_have_a_token_of_kubernetes(objects: list[Object]) -> None:
    pods = charts.pods(objects)
    with_token = {name for name, pod in pods.items() if pod["spec"]["automountServiceAccountToken"]}
    assert with_token == WITH_TOKEN & set(pods)
    for name in set(pods) - WITH_TOKEN:
        assert pods[name]["spec"]["serviceAccountName"] == "modelyard-platform"


@EVERY_CASE
def test_every_container_is_promised_something_and_stopped_somewhere(objects: list[Object]) -> None:
    for name, container in charts.containers(objects).items():
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
        assert "memory" in container["resources"]["limits"], name


def test_by_default_all_pods_together_fit_on_a_small_node(objects: list[Object]) -> None:
    requests = [each["resources"]["requests"] for each in charts.containers(objects).values()]
    assert sum(int(each["cpu"].removesuffix("m")) for each in requests) < 700
    assert sum(int(each["memory"].removesuffix("Mi")) for each in requests) < 2048


@EVERY_CASE
def test_every_server_is_asked_whether_it_started_is_ready_and_lives(objects: list[Object]) -> None:
    for name, container in charts.containers(objects).items():
        probes = {key for key in container if key.endswith("Probe")}
        assert probes == (
            {"startupProbe", "readinessProbe", "livenessProbe"} if name in SERVERS else set()
        ), name


def test_each_server_is_asked_by_what_tells_the_truth_of_it(objects: list[Object]) -> None:
    asked = {
        name: [
            container[probe].get("httpGet", container[probe].get("exec"))
            for probe in ("startupProbe", "readinessProbe", "livenessProbe")
        ]
        for name, container in charts.containers(objects).items()
        if name in SERVERS
    }
    health, ready = ({"path": path, "port": "http"} for path in ("/health", "/ready"))
    # By TCP: while PostgreSQL makes its databases it listens on its socket alone.
    command = {"command": ["pg_isready", "--quiet", "--host=127.0.0.1", "--username=postgres"]}
    assert asked == {
        "zenml": [ready, ready, health],
        "mlflow": [ready, ready, health],
        "s3": [health] * 3,
        "postgresql": [command] * 3,
    }


@EVERY_CASE
def test_processes_of_the_project_are_told_the_same(objects: list[Object]) -> None:
    told = {
        name: charts.environment(container)
        for name, container in charts.containers(objects).items()
        if name in {"zenml", "mlflow", "migrate", "backup"}
    }
    assert len(told) == 4
    common = {name: value for name, value in told["migrate"].items() if name != "MODELYARD_MAKE_BUCKET"}
    for name, environment in told.items():
        assert common.items() <= environment.items(), name


def test_the_environment_is_what_the_image_reads(objects: list[Object]) -> None:
    assert charts.environment(charts.containers(objects)["backup"]) == {
        "MODELYARD_HOME": "/home/modelyard",
        "MODELYARD_DATABASE_URL": ("modelyard-database", "url"),
        "MODELYARD_PREDICTIONS_URL": ("modelyard-endpoint-database", "url"),
        "MODELYARD_STREAM_URL": ("modelyard-stream-database", "url"),
        "MODELYARD_INGESTION_URL": ("modelyard-ingestion-database", "url"),
        "MODELYARD_PASSWORD": ("modelyard-login", "password"),
        "MODELYARD_ENCRYPTION_KEY": ("modelyard-keys", "encryption-key"),
        "MODELYARD_SIGNING_KEY": ("modelyard-keys", "signing-key"),
        "MODELYARD_PLATFORM_HOST": "0.0.0.0",  # noqa: S104 - in a pod
        "MODELYARD_DASHBOARD_PORT": "8237",
        "MODELYARD_MLFLOW_PORT": "5000",
        "MODELYARD_ARTIFACTS": "s3://modelyard",
        "MODELYARD_KEEP_BACKUPS": "7",
        "MODELYARD_KEEP_PREDICTIONS": "90",
        "AWS_ENDPOINT_URL_S3": "http://modelyard-s3.modelyard.svc:7070",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": ("modelyard-s3", "access-key"),
        "AWS_SECRET_ACCESS_KEY": ("modelyard-s3", "secret-key"),
    }


def test_an_external_database_is_reached_by_its_secret_and_its_certificate_checked() -> None:
    objects = charts.render(examples=("external-database",))
    assert "postgresql" not in charts.pods(objects)
    for name in ("zenml", "mlflow", "migrate", "backup"):
        environment = charts.environment(charts.containers(objects)[name])
        assert environment["MODELYARD_DATABASE_URL"] == ("metadata-app", "uri")
        assert environment["PGSSLMODE"] == "verify-full"
        authority = environment["PGSSLROOTCERT"]
        volumes = {volume["name"]: volume for volume in charts.pods(objects)[name]["spec"]["volumes"]}
        assert volumes["postgresql-ca"]["secret"]["secretName"] == "metadata-ca"
        mounts = charts.containers(objects)[name]["volumeMounts"]
        assert [authority.startswith(mount["mountPath"]) for mount in mounts].count(True) == 1


def test_an_external_s3_is_reached_by_its_endpoint_and_its_bucket_left_alone() -> None:
    objects = charts.render(examples=("external-s3",))
    assert "s3" not in charts.pods(objects)
    environment = charts.environment(charts.containers(objects)["migrate"])
    assert environment["AWS_ENDPOINT_URL_S3"] == "https://s3.example.com:9000"
    assert environment["AWS_ACCESS_KEY_ID"] == ("artifacts", "access-key")
    assert environment["MODELYARD_ARTIFACTS"] == "s3://acme-modelyard"
    assert environment["MODELYARD_MAKE_BUCKET"] == "false"


def test_amazons_s3_needs_no_endpoint() -> None:
    objects = charts.render("s3.enabled=false", "s3.existingSecret=artifacts")
    assert "AWS_ENDPOINT_URL_S3" not in charts.environment(charts.containers(objects)["zenml"])


def test_the_bucket_of_the_gateway_is_made(objects: list[Object]) -> None:
    assert charts.environment(charts.containers(objects)["migrate"])["MODELYARD_MAKE_BUCKET"] == "true"


def test_an_image_is_named_by_digest_where_one_is_given() -> None:
    digest = f"sha256:{'0' * 64}"
    objects = charts.render("image.repository=registry.example/modelyard", f"image.digest={digest}")
    assert charts.containers(objects)["zenml"]["image"] == f"registry.example/modelyard:0.1.0@{digest}"


@EVERY_CASE
def test_nothing_secret_is_in_what_is_rendered(objects: list[Object]) -> None:
    assert charts.of_kind(objects, "Secret") == []
    for name, container in charts.containers(objects).items():
        for variable in container["env"]:
            if "value" in variable:
                assert not reads_like_a_secret(variable["name"], variable["value"]), (name, variable)
        assert not any("password" in word.lower() for word in argv(container)), name
    for found in charts.of_kind(objects, "ConfigMap"):
        assert not any(reads_like_a_secret(key, value) for key, value in found["data"].items())


def argv(container: Object) -> list[str]:
    return [*container.get("command", []), *container.get("args", [])]


def reads_like_a_secret(name: str, value: Any) -> bool:
    if name == "MODELYARD_SECRETS":  # how values are made; a constant is no secret
        made = [rule for item in json.loads(value) for rule in item.get("values", {}).values()]
        constants = [rule["value"] for rule in made if "value" in rule]
        return constants not in ([], ["default"])
    words = ("PASSWORD", "SECRET_ACCESS_KEY", "ACCESS_KEY", "ENCRYPTION_KEY", "SIGNING_KEY", "TOKEN")
    return any(word in name.upper() for word in words) or "@" in str(value).partition("sha256")[0]
