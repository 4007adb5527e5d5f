from __future__ import annotations

from pathlib import Path

import pytest

from errors import StackError, UsageError
from stacks import spec

VALUES = {"home": "/data", "mlflow": "postgresql://host/mlflow"}


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "stack.yaml"
    path.write_text(text)
    return path


def test_the_local_stack_is_filled_in_from_the_settings() -> None:
    stack = spec.fill(spec.read(spec.named("local")), VALUES)
    assert stack.artifact_store.configuration == {"path": "/data/artifacts"}
    assert stack.experiment_tracker.configuration == {"tracking_uri": "postgresql://host/mlflow"}
    assert list(stack.components()) == ["orchestrator", "artifact_store", "experiment_tracker"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nflavour: local", "flavour: Extra inputs are not permitted"),
        ("name: x\norchestrator: {flavor: local, config: {}}", r"orchestrator\.config: Extra inputs"),
        ("name: Not Good", "name: String should match pattern"),
        ("name: [", "is no YAML"),
        ("just text", "valid dictionary or instance of Stack"),
        ("name: '{secret}'", r"placeholder \{secret\}; there are: \{home\}, \{mlflow\}"),
    ],
)
def test_a_wrong_stack_file_is_refused_and_the_message_names_the_place(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(StackError, match=message):
        spec.fill(spec.read(write(tmp_path, text)), VALUES)


def test_a_missing_stack_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"Cannot read the stack file .*nowhere\.yaml"):
        spec.read(tmp_path / "nowhere.yaml")


def test_an_unknown_stack_name_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match="there are: kubernetes, local"):
        spec.named("moon")


PLACEHOLDERS = [
    *("bucket", "image", "login_password", "login_username", "mlflow", "namespace"),
    *("orchestrator_service_account", "pipelines_namespace", "registry", "registry_secret"),
    *("s3", "s3_region", "s3_secret", "step_service_account", "zenml"),
    *("alerts_key", "alerts_secret", "ingestion_secret", "mlflow_external_url", "zenml_external_url"),
]
CLUSTER = {name: f"the-{name}" for name in PLACEHOLDERS}


def test_the_stack_of_a_cluster_is_filled_in_from_what_the_chart_wrote_down() -> None:
    draft = spec.read(spec.named("kubernetes"))
    assert draft.platform == "kubernetes"
    stack = spec.fill(draft, CLUSTER)
    pod = stack.orchestrator.configuration["pod_settings"]
    assert {"name": "AWS_ENDPOINT_URL_S3", "value": "the-s3"} in pod["env"]
    assert {"name": "MODELYARD_ZENML_EXTERNAL_URL", "value": "the-zenml_external_url"} in pod["env"]
    assert stack.artifact_store.configuration == {"path": "s3://the-bucket/zenml"}


def test_what_a_cluster_has_no_value_for_is_left_out_of_lists() -> None:
    nothing = {"s3": "", "zenml_external_url": "", "mlflow_external_url": "", "alerts_secret": ""}
    stack = spec.fill(spec.read(spec.named("kubernetes")), CLUSTER | nothing)
    names = [variable["name"] for variable in stack.orchestrator.configuration["pod_settings"]["env"]]
    assert not {"AWS_ENDPOINT_URL_S3", "MODELYARD_ALERTS"} & set(names)
    assert not [name for name in names if name.endswith("_EXTERNAL_URL")]


def test_no_password_is_in_the_stack_of_a_cluster() -> None:
    stack = spec.fill(spec.read(spec.named("kubernetes")), CLUSTER)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        (variable,) = [
            each for each in stack.orchestrator.configuration["pod_settings"]["env"] if each["name"] == name
        ]
        assert variable["valueFrom"]["secretKeyRef"]["name"] == "the-s3_secret"
