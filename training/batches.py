"""The batches that ingestion has loaded, as data files: which count, and where each lies.

They are parquet files that never change, in one folder for each use case. Beside them a list says which count
now; it is replaced in one step, so that whoever reads it sees whole loads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from errors import DataError, UsageError
from usecases.files import entries, is_here, kind, path, reaching

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from upath import UPath

    from usecases.base import UseCase

INGESTED = "ingested"
"""The source of every use case that ingestion fills."""
FOLDER = "batches"
LIST = "batches.json"


class Listed(BaseModel):
    """A batch that counts."""

    model_config = ConfigDict(frozen=True)

    id: int
    source: str
    file: str
    rows: int
    fingerprint: str


class Batches(BaseModel):
    """All that count, in the order in which they came."""

    model_config = ConfigDict(frozen=True)

    batches: list[Listed]


def locate(
    case: UseCase, source: str, months: Sequence[str] | None, downloads: Path, *, replaced: bool = False
) -> Sequence[UPath]:
    """Data files of a use case's own source, or those of the batches that ingestion has loaded.

    With `replaced` also of batches that no longer count: what was learnt from them is made again with them.

    Raises:
        UsageError: no such source, or months that mean nothing to it.
        DataError: files are missing, nothing was loaded, or a store cannot be reached.
    """
    if source != INGESTED:
        return case.locate(source, months, downloads)
    if months:
        raise UsageError(f"Months mean nothing to --source {INGESTED}: its files are batches.")
    place = folder(case.name)
    files = [place / each.file for each in read(place).batches]
    if replaced and kind(place) == "directory":
        files = [file for file in entries(place) if file.suffix == ".parquet"]
    if not files:
        raise DataError(
            f"Nothing was loaded for {case.name} yet: python run.py ingest {case.name} --from NAME"
        )
    return files


def folder(use_case: str) -> UPath:
    """Where the active stack keeps the batches of a use case."""
    from zenml.client import Client

    return path(Client().active_stack.artifact_store.path).parent / FOLDER / use_case


def read(place: UPath) -> Batches:
    """The list in a folder; empty where there is none.

    Raises:
        DataError: it cannot be read.
    """
    file = place / LIST
    if kind(file) is None:
        return Batches(batches=[])
    with reaching(file):
        return Batches.model_validate_json(file.read_text())


def write(place: UPath, listed: Batches) -> None:
    """Replace the list in one step.

    Raises:
        DataError: the store cannot be written to.
    """
    file = place / LIST
    with reaching(file, "write"):
        if not is_here(file):
            file.write_text(listed.model_dump_json(indent=1))
            return
        place.mkdir(parents=True, exist_ok=True)
        draft = place / f".{LIST}.draft"
        draft.write_text(listed.model_dump_json(indent=1))
        draft.rename(file)
