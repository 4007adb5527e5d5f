"""Arguments and options that several commands share."""

from __future__ import annotations

from typing import Annotated, Any

import typer

UseCaseName = Annotated[str, typer.Argument(metavar="USE_CASE", help="A folder in usecases/.")]
Source = Annotated[
    str | None,
    typer.Option(
        help="A named source of the use case, a folder, or files separated by commas; "
        "a folder and files may be URLs, such as s3://bucket/folder. `ingested`: what `ingest` has loaded."
    ),
]
Months = Annotated[
    str | None, typer.Option(help="Months to read, such as 2024-01,2024-02 or 2023-03..2024-02.")
]
Cutoff = Annotated[str | None, typer.Option(help="First day of the validation rows.")]
Trials = Annotated[
    int, typer.Option(min=1, help="Sets of parameters to try for each candidate; 1: its defaults.")
]
Candidates = Annotated[str | None, typer.Option(help="Candidates to train, separated by commas.")]
Release = Annotated[bool, typer.Option("--release", help="Release the version that is champion then.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]


def of_training(
    source: str | None,
    months: str | None,
    cutoff: str | None,
    trials: int,
    candidates: str | None,
    seed: int,
) -> dict[str, Any]:
    """What a person asked of a training, as `training.plan.make` takes it."""
    from training.months import expand

    return {
        "source": source,
        "months": expand(months) if months else None,
        "cutoff": cutoff,
        "candidates": _split(candidates),
        "trials": trials,
        "seed": seed,
    }


def _split(text: str | None) -> list[str] | None:
    return [part.strip() for part in text.split(",") if part.strip()] if text else None
