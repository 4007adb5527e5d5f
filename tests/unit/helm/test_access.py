"""Secrets that the chart has made in the cluster, and who may do what there."""

from __future__ import annotations

import json

from tests import charts
from tests.charts import EVERY_CASE, INFERENCE, PIPELINES, RELEASE, Object

LOGINS = {"endpoint": INFERENCE, "stream": INFERENCE, "ingestion": PIPELINES}


def asked(objects: list[Object], job: str) -> list[Object]:
    container = charts.one(objects, "Job", job)["spec"]["template"]["spec"]["containers"][0]
    return list(json.loads(charts.environment(container)["MODELYARD_SECRETS"]))


@EVERY_CASE
def test_every_secret_that_pods_read_is_made_or_is_named_by_the_values(objects: list[Object]) -> None:
    jobs = {each["metadata"]["name"] for each in charts.of_kind(objects, "Job")}
    made = {item["name"]: item["values"].keys() for item in asked(objects, "modelyard-secrets")}
    existing = {"metadata-app", "artifacts"}
    for container in charts.containers(objects).values():
        for secret, key in [
            value for value in charts.environment(container).values() if isinstance(value, tuple)
        ]:
            assert secret in existing or key in made[secret]
    copied = {name for name in made if name.endswith("-database")} - {"modelyard-database"}
    copied |= made.keys() & {"modelyard-s3"}
    assert ("modelyard-secrets-copy" in jobs) == bool(copied)


def test_secrets_are_made_before_pods_and_copied_once_there_is_a_namespace(objects: list[Object]) -> None:
    made = asked(objects, "modelyard-secrets")
    assert {(item["namespace"], item["name"]) for item in made} == {
        (RELEASE, f"modelyard-{name}")
        for name in ("database", "login", "keys", "s3", *(f"{login}-database" for login in LOGINS))
    }
    copies = {
        (each["namespace"], each["name"]): each["from"] for each in asked(objects, "modelyard-secrets-copy")
    }
    assert copies == {
        (PIPELINES, "modelyard-s3"): {"namespace": RELEASE, "name": "modelyard-s3"},
        **{
            (namespace, f"modelyard-{login}-database"): {
                "namespace": RELEASE,
                "name": f"modelyard-{login}-database",
            }
            for login, namespace in LOGINS.items()
        },
    }
    when = {
        each["metadata"]["name"]: each["metadata"]["annotations"]["helm.sh/hook"]
        for each in charts.of_kind(objects, "Job")
        if "annotations" in each["metadata"]
    }
    assert when == {
        "modelyard-secrets": "pre-install,pre-upgrade",
        "modelyard-secrets-copy": "post-install,post-upgrade",
    }


@EVERY_CASE
def test_whatever_is_a_hook_ends_with_it(objects: list[Object]) -> None:
    hooks = [
        each["metadata"] for each in objects if "helm.sh/hook" in each["metadata"].get("annotations", {})
    ]
    assert hooks
    for hook in hooks:
        assert hook["annotations"]["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"


def test_where_all_secrets_exist_no_job_makes_any_and_logins_are_copied_to_where_they_are_needed() -> None:
    values = ("postgresql", "s3", "login", "keys", "predictionLog")
    logins = ("databaseLogins.stream=mine-stream", "databaseLogins.ingestion=mine-ingestion")
    objects = charts.render(*(f"{key}.existingSecret=mine-{key.lower()}" for key in values), *logins)
    hooks = {
        each["metadata"]["name"]
        for each in objects
        if "helm.sh/hook" in each["metadata"].get("annotations", {})
    }
    assert hooks == {"modelyard-secrets-copy"}
    copies = asked(objects, "modelyard-secrets-copy")
    assert {(copy["namespace"], copy["name"], copy["from"]["name"]) for copy in copies} == {
        (INFERENCE, "modelyard-endpoint-database", "mine-predictionlog"),
        (INFERENCE, "modelyard-stream-database", "mine-stream"),
        (PIPELINES, "modelyard-ingestion-database", "mine-ingestion"),
    }
    environment = charts.environment(charts.containers(objects)["zenml"])
    named = {value for value in environment.values() if isinstance(value, tuple)}
    assert {secret for secret, _ in named} == {
        *(f"mine-{key.lower()}" for key in values),
        "mine-stream",
        "mine-ingestion",
    }


def test_the_secret_with_the_urls_of_alerts_is_copied_to_where_pipelines_find_it() -> None:
    objects = charts.render("alerts.existingSecret=people")
    (copy,) = [
        each for each in asked(objects, "modelyard-secrets-copy") if each["name"] == "modelyard-alerts"
    ]
    assert (copy["namespace"], copy["from"]) == (PIPELINES, {"namespace": RELEASE, "name": "people"})
    (read,) = rules(objects, "modelyard-secrets-copy")
    assert "people" in read.split("=")
    assert rules(objects, "modelyard-secrets-copy", PIPELINES) == {
        "secrets": ["create"],
        "secrets=modelyard-s3": ["patch"],
        "secrets=modelyard-alerts": ["patch"],
        "secrets=modelyard-ingestion-database": ["patch"],
    }


def test_endpoints_log_to_an_external_database_only_by_a_secret_of_its_own() -> None:
    external = charts.render("s3.existingSecret=artifacts", examples=("external-database",))
    assert "MODELYARD_PREDICTIONS_URL" not in charts.environment(charts.containers(external)["migrate"])
    assert not any(
        each["metadata"]["name"] == "modelyard-secrets-copy" for each in charts.of_kind(external, "Job")
    )
    logins = (
        "predictionLog.existingSecret=log",
        "databaseLogins.stream=streams",
        "databaseLogins.ingestion=data",
    )
    logged = charts.render(*logins, examples=("external-database",))
    environment = charts.environment(charts.containers(logged)["migrate"])
    assert environment["MODELYARD_PREDICTIONS_URL"] == ("log", "url")
    assert environment["MODELYARD_STREAM_URL"] == ("streams", "url")
    assert environment["MODELYARD_INGESTION_URL"] == ("data", "url")
    copies = {each["from"]["name"]: each["name"] for each in asked(logged, "modelyard-secrets-copy")}
    assert copies == {
        "modelyard-s3": "modelyard-s3",
        "log": "modelyard-endpoint-database",
        "streams": "modelyard-stream-database",
        "data": "modelyard-ingestion-database",
    }


def test_who_makes_secrets_may_make_them_and_read_those_that_are_copied(objects: list[Object]) -> None:
    assert rules(objects, "modelyard-secrets") == {"secrets": ["create"]}
    copied = ("s3", *(f"{login}-database" for login in sorted(LOGINS)))
    read = "secrets=" + "=".join(f"modelyard-{name}" for name in copied)
    assert rules(objects, "modelyard-secrets-copy") == {read: ["get"]}
    assert rules(objects, "modelyard-secrets-copy", INFERENCE) == {
        "secrets": ["create"],
        "secrets=modelyard-endpoint-database": ["patch"],
        "secrets=modelyard-stream-database": ["patch"],
    }
    assert rules(objects, "modelyard-secrets-copy", PIPELINES) == {
        "secrets": ["create"],
        "secrets=modelyard-s3": ["patch"],
        "secrets=modelyard-ingestion-database": ["patch"],
    }


def rules(objects: list[Object], role: str, namespace: str = RELEASE) -> dict[str, list[str]]:
    """Resource, with `=` and names where only those → verbs."""
    found = {}
    for rule in charts.one(objects, "Role", role, namespace)["rules"]:
        assert rule["apiGroups"] in ([""], ["batch"], ["autoscaling"], ["policy"], ["networking.k8s.io"])
        names = "".join(f"={name}" for name in rule.get("resourceNames", []))
        found |= {f"{resource}{names}": rule["verbs"] for resource in rule["resources"]}
    return found


def test_an_orchestrator_may_run_steps_and_nothing_else(objects: list[Object]) -> None:
    assert rules(objects, "modelyard-orchestrator", PIPELINES) == {
        "jobs": ["create", "get", "list", "delete"],
        "pods": ["get", "list"],
        "pods/log": ["get"],
    }
    binding = charts.one(objects, "RoleBinding", "modelyard-orchestrator", PIPELINES)
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "modelyard-orchestrator", "namespace": PIPELINES}
    ]


def test_a_submitter_may_reach_the_platform_and_run_pipelines_and_nothing_else(objects: list[Object]) -> None:
    assert rules(objects, "modelyard-submitter") == {
        "configmaps=modelyard-connection": ["get"],
        "secrets=modelyard-login=modelyard-s3": ["get"],
        "services": ["get", "list"],
        "pods": ["get", "list"],
        "pods/portforward": ["create"],
    }
    assert rules(objects, "modelyard-submitter", PIPELINES) == {
        "jobs": ["create", "get", "list", "delete"],
        "cronjobs": ["create", "get", "list", "patch", "delete"],
        "pods": ["get", "list"],
        "pods/log": ["get"],
        "events": ["list"],
        "secrets": ["create", "patch", "delete"],
    }


def test_a_submitter_may_give_streams_their_broker_and_take_them_away(objects: list[Object]) -> None:
    assert rules(objects, "modelyard-submitter", INFERENCE) == {
        "services": ["get"],
        "pods/portforward": ["create"],
        "secrets=modelyard-kafka": ["create", "get", "patch"],
        "serviceaccounts": ["delete"],
        "horizontalpodautoscalers": ["delete"],
        "poddisruptionbudgets": ["delete"],
        "networkpolicies": ["delete"],
    }


def test_submitters_are_those_of_the_values() -> None:
    bindings = [each["metadata"]["name"] for each in charts.of_kind(charts.render(), "RoleBinding")]
    assert "modelyard-submitter" not in bindings
    objects = charts.render(
        "submitters[0].kind=Group", "submitters[0].name=scientists", "submitters[1].kind=ServiceAccount",
        "submitters[1].name=ci", "submitters[1].namespace=ci",
    )  # fmt: skip
    for namespace in (RELEASE, PIPELINES, INFERENCE):
        assert charts.one(objects, "RoleBinding", "modelyard-submitter", namespace)["subjects"] == [
            {"kind": "Group", "name": "scientists", "apiGroup": "rbac.authorization.k8s.io"},
            {"kind": "ServiceAccount", "name": "ci", "namespace": "ci"},
        ]


def test_accounts_have_no_token_but_the_orchestrators(objects: list[Object]) -> None:
    accounts = {
        (each["metadata"]["namespace"], each["metadata"]["name"]): each["automountServiceAccountToken"]
        for each in charts.of_kind(objects, "ServiceAccount")
        if "annotations" not in each["metadata"]
    }
    assert accounts == {
        (RELEASE, "modelyard-platform"): False,
        (PIPELINES, "modelyard-orchestrator"): True,
        (PIPELINES, "modelyard-step"): False,
    }
