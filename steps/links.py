"""Links from ZenML's page of a run to MLflow's pages and to what serves, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from zenml import get_step_context, log_metadata
from zenml.metadata.metadata_types import Uri

from settings import Settings
from stacks import pages

if TYPE_CHECKING:
    from zenml.metadata.metadata_types import MetadataType


def show(links: Mapping[str, MetadataType]) -> None:
    """Put links on the page of this step, and on that of its run."""
    run = get_step_context().pipeline_run
    log_metadata(metadata=dict(links))
    log_metadata(metadata=dict(links), run_id_name_or_prefix=run.id)


def mlflow_run(run: str) -> MetadataType:
    """An MLflow run: its page, or where that has no address its id."""
    return _link(pages.tracking_page(Settings(), run), run)


def model_version(name: str, number: int) -> MetadataType:
    """A model version: its page, or where that has no address its name."""
    return _link(pages.version_page(Settings(), name, number), f"{name} version {number}")


def this_run() -> str:
    """The ZenML run of this step: its page, or where that has no address its name."""
    run = get_step_context().pipeline_run
    return pages.run_page(Settings(), run) or str(run.name)


def zenml_run() -> str:
    """Markdown of the ZenML run of this step, for pages of MLflow."""
    run = get_step_context().pipeline_run
    page = pages.run_page(Settings(), run)
    return f"ZenML run [{run.name}]({page})" if page else f"ZenML run `{run.name}`"


def _link(page: str | None, name: str) -> MetadataType:
    return Uri(page) if page else name
