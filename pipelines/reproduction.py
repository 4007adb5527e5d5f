"""Reproduce: train a registered version again from what was recorded, and compare bit for bit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errors import DataError, UsageError
from pipelines.run import Run, run


@dataclass(frozen=True)
class Reproduced:
    """What came of training a version again."""

    run: Run
    equal: bool
    """Every prediction on the validation rows has the same bits."""
    rows: int
    largest_difference: float
    differences: list[str]
    """What differs in data, code or environment from the recorded training, a line each."""


def reproduce(use_case: str, version: int, downloads: Path) -> Reproduced:
    """Train version `version` again, without cache, with the recorded candidate, parameters and seed.

    Raises:
        TrackingError: there is no such version.
        DataError: the recorded data are nowhere to be found.
    """
    import usecases
    from tracking import registry
    from training import batches, fingerprint
    from training.plan import Plan
    from usecases.files import kind, path

    recorded = registry.load(registry.find(use_case, str(version))).provenance
    plan = Plan.model_validate(recorded["plan"])
    files = [path(file) for file in plan.files]
    if not all(kind(file) == "file" for file in files):
        try:
            there = batches.locate(
                usecases.load(use_case), plan.source, plan.months, downloads, replaced=True
            )
        except UsageError as error:
            raise DataError(f"The data of version {version} are gone: {error}") from error
        # Others may have come to a folder since, or were there and not wanted.
        files = [file for file in there if file.name in plan.fingerprint.data]
        if not files:
            names = ", ".join(plan.fingerprint.data)
            raise DataError(f"The data of version {version} are gone: {plan.source} has none of {names}.")
    now = fingerprint.take(files, use_case)
    finished = run(
        f"reproduce_{use_case}",
        reproduction,
        {
            "plan": plan.model_copy(
                update={"files": [str(file) for file in files], "fingerprint": now}
            ).model_dump(mode="json"),
            "version": version,
            "candidate": recorded["candidate"],
            "parameters": recorded["parameters"],
        },
        cache=False,
    )
    return Reproduced(
        run=finished,
        equal=finished.output("compare_predictions", "equal"),
        rows=finished.output("compare_predictions", "rows"),
        largest_difference=finished.output("compare_predictions", "largest_difference"),
        differences=plan.fingerprint.differences(now),
    )


def reproduction(plan: dict[str, Any], version: int, candidate: str, parameters: dict[str, Any]) -> None:
    """The steps of a reproduction, in their order."""
    from pipelines.training import rows_of
    from steps.reproduction import compare_predictions, refit

    train, validation = rows_of(plan, purpose="reproduce")
    model = refit(plan["use_case"], candidate, parameters, train, plan["seed"])
    compare_predictions(plan["use_case"], version, model, validation)
