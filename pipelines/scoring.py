"""Score: one step, from rows to rows with predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipelines.run import Run, run


@dataclass(frozen=True)
class Scoring:
    """What a scoring did, its earlier beginnings included."""

    run: Run
    version: int
    rows: int
    refused: int
    parts: int


def score(
    use_case: str,
    version: str,
    source: str,
    target: str,
    *,
    keep: list[str] | None = None,
    key: list[str] | None = None,
) -> Scoring:
    """Let a model version, by number or alias, answer the rows of `source`; what `target` has of it stays.

    Raises:
        TrackingError: there is no such version.
        UsageError: a place is none, or the target holds something else.
        DataError: the rows cannot be read or written.
    """
    from tracking import registry

    number = registry.find(use_case, version).number
    parameters: dict[str, Any] = {
        "use_case": use_case,
        "version": number,
        "source": source,
        "target": target,
        "keep": keep,
        "key": key,
    }
    finished = run(f"score_{use_case}", scoring, parameters)
    done = finished.output("score", "scored")
    return Scoring(finished, number, done["rows"], done["refused"], done["parts"])


def scoring(
    use_case: str, version: int, source: str, target: str, keep: list[str] | None, key: list[str] | None
) -> None:
    """Its one step."""
    from steps.scoring import score

    score(use_case, version, source, target, keep, key)
