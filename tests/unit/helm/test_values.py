"""Values of the chart: generated from their models, and refused where they are wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import yaml

from helm import reference
from helm.reference import CHART
from helm.values import Values
from settings import PROJECT
from tests import charts


@pytest.mark.parametrize("file", reference.files(), ids=lambda file: file.name)
def test_a_generated_file_is_what_the_models_say(file: Path) -> None:
    assert file.read_text() == reference.files()[file], "run: make docs"


def test_the_default_values_are_those_of_the_models() -> None:
    given = Values.model_validate(yaml.safe_load((CHART / "values.yaml").read_text()))
    assert given == Values()


@pytest.mark.parametrize("name", charts.EXAMPLES)
def test_an_example_has_only_values_that_there_are(name: str) -> None:
    example = yaml.safe_load((CHART / "examples" / f"{name}.yaml").read_text())
    Values.model_validate(merged(Values().model_dump(by_alias=True), example))


def merged(values: dict, others: dict) -> dict:
    """As Helm merges them: key by key."""
    both = {key: merged(values[key], others[key]) for key in others if isinstance(values.get(key), dict)}
    return {**values, **others, **both}


def test_the_chart_has_the_version_of_the_project() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == chart["version"] == project["version"]


@pytest.mark.parametrize("examples", charts.CASES.values(), ids=charts.CASES.keys())
def test_helm_finds_nothing_to_complain_about(examples: tuple[str, ...]) -> None:
    files = [f"--values={CHART / 'examples' / name}.yaml" for name in examples]
    result = charts.helm("lint", "--strict", "--quiet", "--kube-version=1.34", str(CHART), *files)
    assert (result.returncode, result.stdout.strip()) == (0, ""), result.stdout


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("zenml.replcas=2", "'/zenml': additional properties 'replcas' not allowed"),
        ("zenm.replicas=2", "additional properties 'zenm' not allowed"),
        ("zenml.replicas=two", "'/zenml/replicas': got string, want integer"),
        ("zenml.replicas=0", "'/zenml/replicas': minimum: got 0, want 1"),
        ("image.digest=latest", "'/image/digest': 'latest' does not match pattern"),
        ("image.pullPolicy=Sometimes", "'/image/pullPolicy': value must be one of 'IfNotPresent'"),
        (
            "mlflow.externalUrl=mlflow.example.com",
            "'/mlflow/externalUrl': 'mlflow.example.com' does not match",
        ),
        ("s3.bucket=Upper", "'/s3/bucket': 'Upper' does not match pattern"),
        ("zenml.resources.requests.memory=1GB", "'/zenml/resources/requests/memory'"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(setting: str, message: str) -> None:
    assert message in charts.refusal(setting)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["postgresql.enabled=false"], "name the Secret with the URL of your PostgreSQL"),
        (["s3.enabled=false"], "name the Secret with access-key and secret-key of your S3"),
        (["s3.endpoint=https://s3.example.com"], "set s3.enabled=false to use it"),
        (
            ["pipelines.namespace=modelyard"],
            "need a namespace each, and have modelyard, modelyard, modelyard-inf",
        ),
        (
            ["zenml.ingress.enabled=true"],
            "zenml.externalUrl is empty: say under which address people reach it",
        ),
        (
            ["mlflow.httpRoute.enabled=true", "mlflow.externalUrl=https://mlflow.example.com"],
            "mlflow.httpRoute.gateways is empty: name the Gateway",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused_with_what_to_do(
    settings: list[str], message: str
) -> None:
    assert message in charts.refusal(*settings)


def test_a_release_whose_name_no_service_may_have_is_refused() -> None:
    result = charts.helm("template", "my.release", str(CHART), "--kube-version=1.34")
    assert "The release is called my.release; names of Services are made of it" in result.stderr


def test_a_chart_that_contains_this_one_may_have_global_values() -> None:
    assert charts.manifests("global.region=eu") == charts.manifests()
