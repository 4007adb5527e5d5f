"""From data files to training and validation rows."""

from typing import Annotated

import pandas as pd
from zenml import log_metadata, step

import usecases


@step
def ingest(
    use_case: str, files: list[str], data: dict[str, str], made_with: dict[str, str]
) -> Annotated[pd.DataFrame, "raw"]:
    """Read the data files, which must still be the ones that were fingerprinted.

    Args:
        use_case: Name of the use case.
        files: Paths of the data files.
        data: File name → SHA-256.
        made_with: Digests of code and environment. When one changes, ZenML's cache no longer matches,
            here and in every later step.
    """
    from training.data import read

    frame = read(usecases.load(use_case), files, data)
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


@step
def split(
    use_case: str, clean: pd.DataFrame, cutoff: str | None, seed: int
) -> tuple[Annotated[pd.DataFrame, "train"], Annotated[pd.DataFrame, "validation"]]:
    """Divide rows into those to learn from and those to judge by."""
    from training.data import split

    train, validation = split(usecases.load(use_case), clean, cutoff, seed)
    log_metadata({"train": len(train), "validation": len(validation)})
    return train, validation
