"""Where runs and model versions are to be seen in the browser, and links between those pages.

On this machine the pages are there while `up` runs. A cluster's have an address when the chart was given one;
without it there is no link, and names and ids stand in its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse

    from settings import Settings


def addresses(settings: Settings) -> dict[str, str]:
    """Both services of this machine's platform."""
    # What listens on every address is asked on this machine's own.
    host = "127.0.0.1" if settings.platform_host in ("0.0.0.0", "::") else settings.platform_host  # noqa: S104
    return {
        "zenml": f"http://{host}:{settings.dashboard_port}",
        "mlflow": f"http://{host}:{settings.mlflow_port}",
    }


def run_page(settings: Settings, run: PipelineRunResponse) -> str | None:
    """The run's page in ZenML's dashboard."""
    dashboard = _outside(settings, "zenml")
    return dashboard and f"{dashboard}/projects/{run.project.name}/runs/{run.id}"


def tracking_page(settings: Settings, run: str) -> str | None:
    """The page of an MLflow run, by its id."""
    pages = _outside(settings, "mlflow")
    return pages and f"{pages}/#/runs/{run}"


def version_page(settings: Settings, name: str, number: int) -> str | None:
    """The page of a registered model version in MLflow."""
    pages = _outside(settings, "mlflow")
    return pages and f"{pages}/#/models/{name}/versions/{number}"


def _outside(settings: Settings, service: str) -> str | None:
    """A service's address for people; None where nobody said which it is."""
    from stacks.apply import in_cluster

    given = {"zenml": settings.zenml_external_url, "mlflow": settings.mlflow_external_url}[service]
    if given:
        return given.rstrip("/")
    return None if in_cluster() else addresses(settings)[service]
