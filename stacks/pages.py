"""Where a run is to be seen in the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse

    from settings import Settings


def run_page(settings: Settings, run: PipelineRunResponse) -> str:
    """The run's page in ZenML's dashboard; on this machine it is there while `up` runs."""
    from zenml.utils.dashboard_utils import get_run_url

    address = f"http://{settings.platform_host}:{settings.dashboard_port}"
    return get_run_url(run) or f"{address}/projects/{run.project.name}/runs/{run.id}"
