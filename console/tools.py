"""ZenML's and MLflow's own command lines, on this project's stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacks import session

if TYPE_CHECKING:
    from settings import Settings


def zenml(settings: Settings, arguments: list[str], stack: str) -> None:
    """Run `zenml ARGUMENTS` on that stack's store; ends the process."""
    session.open_stack(settings, stack)

    from zenml.cli.cli import cli

    cli.main(args=arguments, prog_name="run.py zenml")


def mlflow(settings: Settings, arguments: list[str]) -> None:
    """Run `mlflow ARGUMENTS` on this project's tracking store and registry; ends the process."""
    session.open_tracking(session.connect(settings))

    from mlflow.cli import cli

    cli.main(args=arguments, prog_name="run.py mlflow")
