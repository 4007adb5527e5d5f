"""From data files to training and validation rows."""

from collections.abc import Sequence
from typing import Annotated, Any

import pandas as pd
from zenml import get_step_context, log_metadata, step
from zenml.enums import StepRuntime

import usecases


def reading(step: Any, files: Sequence[str]) -> Any:
    """The step `ingest` or `prepare`, told which files to read.

    Not by a parameter, since the cache compares those: what is in a file decides, not where it lies.
    """
    return step.with_options(extra={"files": list(files)})


@step
def ingest(use_case: str, data: dict[str, str], made_with: dict[str, str]) -> Annotated[pd.DataFrame, "raw"]:
    """Read the data files, which must still be the ones that were fingerprinted.

    Args:
        use_case: Name of the use case.
        data: File name → digest.
        made_with: Digests of code and environment. When one changes, ZenML's cache no longer matches,
            here and in every later step.
    """
    from training.data import read

    frame = read(usecases.load(use_case), _files(), data)
    log_metadata({"rows": len(frame), "columns": len(frame.columns), **made_with})
    return frame


@step
def validate(use_case: str, raw: pd.DataFrame) -> Annotated[int, "rows"]:
    """Check raw rows against the use case's schema; returns their number."""
    from training.data import validate

    validate(usecases.load(use_case), raw)
    return len(raw)


@step
def clean(
    use_case: str, raw: pd.DataFrame
) -> tuple[Annotated[pd.DataFrame, "clean"], Annotated[dict[str, int], "dropped"]]:
    """Apply the use case's cleaning rule; says how many rows were dropped for which reason."""
    frame, dropped = usecases.load(use_case).clean(raw)
    log_metadata({"rows": len(frame), "dropped": dropped})
    return frame, dropped


# The runtime says that it gets a pod of its own on Kubernetes.
@step(runtime=StepRuntime.ISOLATED)
def prepare(
    use_case: str, data: dict[str, str], made_with: dict[str, str]
) -> tuple[Annotated[pd.DataFrame, "clean"], Annotated[int, "rows"], Annotated[dict[str, int], "dropped"]]:
    """Read, validate and clean one of many data files; see `ingest` for the arguments."""
    from training.data import prepare

    (file,) = _files()
    prepared = prepare(usecases.load(use_case), file, data)
    log_metadata({"rows": len(prepared.clean), "dropped": prepared.dropped, **made_with})
    return prepared.clean, prepared.rows, prepared.dropped


@step
def gather(
    use_case: str, frames: list[pd.DataFrame], rows: list[int], dropped: list[dict[str, int]]
) -> tuple[Annotated[pd.DataFrame, "clean"], Annotated[int, "rows"], Annotated[dict[str, int], "dropped"]]:
    """Put the rows of many files together, in the files' order."""
    from training.data import Prepared, gather

    parts = [Prepared(*part) for part in zip(frames, rows, dropped, strict=True)]
    together = gather(usecases.load(use_case), parts)
    log_metadata({"rows": len(together.clean), "dropped": together.dropped})
    return together.clean, together.rows, together.dropped


@step
def split(
    use_case: str, clean: pd.DataFrame, cutoff: str | None, seed: int
) -> tuple[Annotated[pd.DataFrame, "train"], Annotated[pd.DataFrame, "validation"]]:
    """Divide rows into those to learn from and those to judge by."""
    from training.data import split

    train, validation = split(usecases.load(use_case), clean, cutoff, seed)
    log_metadata({"train": len(train), "validation": len(validation)})
    return train, validation


def _files() -> list[str]:
    files: list[str] = get_step_context().step_run.config.extra["files"]
    return files
