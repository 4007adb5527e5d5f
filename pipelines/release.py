"""Release: package → roll out (start, verify, switch, record)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.run import Run, run

if TYPE_CHECKING:
    from releases.release import Outcome


@dataclass(frozen=True)
class Released:
    """What a release did."""

    run: Run
    outcome: Outcome


def release(use_case: str, version: str) -> Released:
    """Put a model version, by number or alias, behind the use case's endpoint.

    Raises:
        TrackingError: there is no such version.
        ReleaseError: the release was given up; what served before still serves.
    """
    from tracking import registry

    number = registry.find(use_case, version).number
    finished = run(f"release_{use_case}", releasing, {"use_case": use_case, "version": number})
    return Released(run=finished, outcome=finished.output("roll_out", "outcome"))


def releasing(use_case: str, version: int) -> None:
    """The steps of a release, in their order."""
    from steps.release import package, roll_out

    roll_out(use_case, version, package(use_case, version))
