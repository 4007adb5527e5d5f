"""Addresses that links lead to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from settings import Settings
from stacks import pages

RUN: Any = SimpleNamespace(id="an-id", project=SimpleNamespace(name="default"))
OUTSIDE = {
    "zenml_external_url": "https://zenml.example.com/",
    "mlflow_external_url": "https://example.com/mlflow",
}


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::"])  # noqa: S104
def test_on_this_machine_they_are_those_of_its_platform(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setattr("stacks.apply.in_cluster", lambda: False)
    here = Settings(platform_host=host, dashboard_port=1, mlflow_port=2)
    assert pages.run_page(here, RUN) == "http://127.0.0.1:1/projects/default/runs/an-id"
    assert pages.tracking_page(here, "abc") == "http://127.0.0.1:2/#/runs/abc"
    assert pages.version_page(here, "taxi", 3) == "http://127.0.0.1:2/#/models/taxi/versions/3"


def test_where_people_reach_them_by_other_addresses_they_are_those() -> None:
    outside = Settings(**OUTSIDE)
    assert pages.run_page(outside, RUN) == "https://zenml.example.com/projects/default/runs/an-id"
    assert pages.tracking_page(outside, "abc") == "https://example.com/mlflow/#/runs/abc"


def test_a_clusters_pages_that_nobody_gave_an_address_have_no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stacks.apply.in_cluster", lambda: True)
    assert pages.run_page(Settings(), RUN) is None
    assert pages.version_page(Settings(), "taxi", 3) is None
