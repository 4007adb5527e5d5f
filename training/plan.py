"""What a training was asked to do: enough to do it again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from errors import UsageError
from training import batches, fingerprint
from training.fingerprint import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from upath import UPath

    from usecases.base import UseCase


class Plan(BaseModel):
    """One training, fully determined."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    use_case: str
    source: str
    months: list[str] | None
    files: list[str]
    """Paths or URLs of the data files when it was planned."""
    fingerprint: Fingerprint
    cutoff: str | None
    candidates: list[str]
    trials: int
    seed: int
    must_be: Literal["no worse", "better"] = "no worse"
    """Than the champion: `no worse` than the use case's tolerance allows, or `better` beyond chance."""


def make(
    use_case: UseCase,
    *,
    downloads: Path,
    source: str | None = None,
    months: Sequence[str] | None = None,
    cutoff: str | None = None,
    candidates: Sequence[str] | None = None,
    trials: int = 1,
    seed: int = 42,
    newest: int | None = None,
    must_be: Literal["no worse", "better"] = "no worse",
    known: dict[str, str] | None = None,
) -> Plan:
    """Settle every open question of a training: files located and fingerprinted, defaults filled in.

    Of the files at the source only the `newest` so many are taken, the last ones in the use case's order.
    `known` has digests of files that need not be read again (`fingerprint.take`).

    Raises:
        UsageError: an option that the use case does not know or that makes no sense for it.
        DataError: the data files are missing or cannot be read.
    """
    there = check(use_case, cutoff, candidates)
    chosen = source or next(iter(use_case.sources))
    files = batches.locate(use_case, chosen, months, downloads)[-newest if newest else None :]
    return Plan(
        use_case=use_case.name,
        source=chosen,
        months=list(months) if months else None,
        files=[str(path) for path in files],
        fingerprint=fingerprint.take(files, use_case.name, known),
        cutoff=cutoff or use_case.default_cutoff,
        # In the use case's order, whichever order they were asked for: the same work, the same cache.
        candidates=[name for name in there if not candidates or name in candidates],
        trials=trials,
        seed=seed,
        must_be=must_be,
    )


def check(use_case: UseCase, cutoff: str | None, candidates: Sequence[str] | None) -> list[str]:
    """Whether the options make sense for the use case; returns the names of its candidates.

    Raises:
        UsageError: they do not.
    """
    if cutoff is not None and use_case.default_cutoff is None:
        raise UsageError(f"{use_case.name} is not split by time, so --cutoff means nothing to it.")
    there = [candidate.name for candidate in use_case.candidates]
    unknown = sorted(set(candidates or ()) - set(there))
    if unknown:
        raise UsageError(
            f"{use_case.name} has no candidate {', '.join(unknown)}; it has: {', '.join(there)}."
        )
    return there


def upload(plan: Plan, folder: UPath) -> Plan:
    """The plan with its files where pods can read them: those of this machine are put below `folder`.

    Raises:
        DataError: a file cannot be read, or `folder` not be written to.
    """
    from training.upload import upload as put
    from usecases.files import path

    there = put([path(file) for file in plan.files], folder)
    return plan.model_copy(update={"files": [str(file) for file in there]})
