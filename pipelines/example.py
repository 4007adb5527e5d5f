"""The hello world: load_titanic → fill_in_missing_values → export_titanic_clean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.run import Run, run

if TYPE_CHECKING:
    from upath import UPath


def example(folder: UPath) -> tuple[Run, UPath]:
    """Run the example pipeline; returns the run and the CSV file that it wrote into `folder`.

    Raises:
        DataError: a step's data check failed.
    """
    finished = run("example_pipeline", example_pipeline, {"folder": str(folder)})

    from usecases.titanic.example import EXPORTED

    return finished, folder / EXPORTED


def example_pipeline(folder: str) -> None:
    """Its three steps."""
    from steps.example import export_titanic_clean, fill_in_missing_values, load_titanic

    export_titanic_clean(fill_in_missing_values(load_titanic()), folder)
