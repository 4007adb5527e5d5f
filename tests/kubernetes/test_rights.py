"""What each account may do, asked of the cluster itself: what is listed here, and nothing else."""

from __future__ import annotations

import json

import pytest

from tests.kubernetes.cluster import SUBMITTERS, Platform, command
from tests.kubernetes.probes import Probe, started

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"

Rights = set[tuple[str, str, str]]
"""Verb, resource with its group, and the one name that it is restricted to, if it is."""

RELEASES = {
    "deployments.apps": "create get patch delete",
    "deployments/scale.apps": "patch",
    "services": "create patch",
    "serviceaccounts": "create patch",
    "horizontalpodautoscalers.autoscaling": "create patch",
    "poddisruptionbudgets.policy": "create patch",
    "networkpolicies.networking.k8s.io": "create patch",
    "pods": "get list",
    "pods/log": "get",
    "events": "list",
    "leases.coordination.k8s.io": "create get update",
}
"""In the namespace of endpoints."""
ALLOWED: dict[str, dict[str, dict[str, str]]] = {
    "platform": {},
    "orchestrator": {
        "here": {"configmaps=modelyard-connection": "get"},
        "in inference": RELEASES,
        "in pipelines": {
            "jobs.batch": "create get list delete",
            "pods": "get list",
            "pods/log": "get",
        },
    },
    "step": {},
    "submitter": {
        "in inference": RELEASES
        | {
            "services": "create patch get",
            "pods/portforward": "create",
            "secrets=modelyard-kafka": "create get patch",
            "serviceaccounts": "create patch delete",
            "horizontalpodautoscalers.autoscaling": "create patch delete",
            "poddisruptionbudgets.policy": "create patch delete",
            "networkpolicies.networking.k8s.io": "create patch delete",
        },
        "here": {
            "configmaps=modelyard-connection": "get",
            "secrets=modelyard-login": "get",
            "secrets=modelyard-s3": "get",
            "services": "get list",
            "pods": "get list",
            "pods/portforward": "create",
        },
        "in pipelines": {
            "jobs.batch": "create get list delete",
            "cronjobs.batch": "create get list patch delete",
            "pods": "get list",
            "pods/log": "get",
            "events": "list",
            "secrets": "create patch delete",
        },
    },
}
"""Account → where → resource, with `=` and a name where only that one → verbs."""
NEVER = {
    "": ("get secrets", "list secrets", "create pods", "delete pods", "get nodes"),
    "/": ("create pods/exec", "create pods/attach", "create serviceaccounts/token", "get nodes/proxy"),
    "rbac.authorization.k8s.io": ("create rolebindings", "escalate roles", "bind clusterroles"),
    "admissionregistration.k8s.io": ("create mutatingwebhookconfigurations",),
}
"""Group → what opens the door to all the rest."""


def rights(listed: dict[str, str]) -> Rights:
    found = set()
    for what, verbs in listed.items():
        resource, _, name = what.partition("=")
        found |= {(verb, resource, name) for verb in verbs.split()}
    return found


def may(identity: tuple[str, ...], namespace: str) -> Rights:
    """All that somebody may do in a namespace, be it by a rule for the namespace or for the whole cluster."""
    question = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    answer = command(
        "kubectl", "create", "--raw=/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", "--filename=-",
        *identity, stdin=json.dumps(question),
    )  # fmt: skip
    return {
        (verb, f"{resource}.{group}" if group else resource, name)
        for rule in json.loads(answer)["status"]["resourceRules"]
        for verb in rule["verbs"]
        for group in rule.get("apiGroups", [])
        for resource in rule.get("resources", [])
        for name in rule.get("resourceNames", [""])
    }


def account(namespace: str, name: str) -> tuple[str, ...]:
    """kubectl's options that speak in the name of a ServiceAccount."""
    groups = ("system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    return (
        f"--as=system:serviceaccount:{namespace}:{name}",
        *(f"--as-group={group}" for group in groups),
    )


@pytest.fixture(scope="module")
def who(platform: Platform) -> dict[str, tuple[str, ...]]:
    return {
        "platform": account(platform.namespace, f"{platform.release}-platform"),
        "orchestrator": account(platform.pipelines, f"{platform.release}-orchestrator"),
        "step": account(platform.pipelines, f"{platform.release}-step"),
        "submitter": ("--as=somebody", f"--as-group={SUBMITTERS}", "--as-group=system:authenticated"),
    }


@pytest.fixture(scope="module")
def everywhere(platform: Platform) -> dict[str, str]:
    return {
        "here": platform.namespace,
        "in pipelines": platform.pipelines,
        "in inference": platform.inference,
        "elsewhere": "default",
        "in the system": "kube-system",
    }


@pytest.mark.parametrize("name", ALLOWED)
def test_each_account_may_do_what_it_needs_and_nothing_else(
    name: str, who: dict[str, tuple[str, ...]], everywhere: dict[str, str]
) -> None:
    for place, namespace in everywhere.items():
        anybody = may(
            ("--as=anybody", "--as-group=system:authenticated", "--as-group=system:serviceaccounts"),
            namespace,
        )
        assert may(who[name], namespace) - anybody == rights(ALLOWED[name].get(place, {})), place


@pytest.mark.parametrize("name", ALLOWED)
def test_no_account_may_do_what_would_give_it_more(
    name: str, who: dict[str, tuple[str, ...]], everywhere: dict[str, str]
) -> None:
    questions = [
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"namespace": namespace, **asked(group, what)}},
        }
        for namespace in everywhere.values()
        for group, listed in NEVER.items()
        for what in listed
    ]
    answers = command(
        "kubectl", "create", "--filename=-", *who[name],
        '--output=jsonpath={.status.allowed} {.spec.resourceAttributes}{"\\n"}',
        stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": questions}),
    ).splitlines()  # fmt: skip
    assert len(answers) == len(questions)
    assert [each for each in answers if not each.startswith("false ")] == []


def asked(group: str, what: str) -> dict[str, str]:
    verb, resource = what.split()
    resource, _, part = resource.partition("/")
    return {"verb": verb, "resource": resource, "subresource": part, "group": group.strip("/")}


def test_a_pod_has_a_token_only_where_it_talks_to_kubernetes(platform: Platform) -> None:
    account = f"{platform.release}-%s"
    pods = [
        Probe(platform.namespace, "as-platform", {}, account % "platform"),
        Probe(platform.pipelines, "as-step", {"modelyard.dev/role": "step"}, account % "step"),
        Probe(
            platform.pipelines,
            "as-orchestrator",
            {"modelyard.dev/role": "orchestrator"},
            account % "orchestrator",
        ),
    ]
    parts = ("zenml", "mlflow", "postgresql", "s3")
    with started(platform, *pods):
        places = [(each.namespace, each.name) for each in pods] + [
            (platform.namespace, platform.servers(name)[0]["metadata"]["name"]) for name in parts
        ]
        found = {
            pod: command("kubectl", "--namespace", namespace, "exec", pod, "--", "cat", TOKEN, check=False)
            for namespace, pod in places
        }
    with_token = {pod for pod, said in found.items() if "No such file" not in said}
    assert with_token == {"as-orchestrator"}
    assert found["as-orchestrator"].count(".") == 2


def test_those_who_made_the_secrets_are_gone_with_their_rights(platform: Platform) -> None:
    kinds = "serviceaccounts,roles,rolebindings,jobs,pods"
    for namespace in (platform.namespace, platform.pipelines):
        left = platform.get(
            kinds, "--selector=app.kubernetes.io/component in (secrets,secrets-copy)", namespace=namespace
        )
        assert left == []
        assert platform.get(kinds, namespace=namespace)
