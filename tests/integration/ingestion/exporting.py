"""What exports are made of and what they leave, and exports that are killed."""

from __future__ import annotations

import io
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from sqlalchemy import create_engine, insert, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from db import models
from db.session import connect
from ingestion import sinks
from tests.integration.ingestion.loading import in_a_process
from tests.integration.ingestion.store import Store
from usecases.files import entries, kind, path

DAY = datetime(2024, 3, 1, 23, 59, 59, 999999, UTC)
Days = dict[str, Counter[str]]
"""Day → how often each request's id is there."""


def predict(store: Store, count: int, at: datetime, use_case: str = "titanic") -> None:
    """Log so many predictions, as an endpoint does; the table's partitions are days."""
    with connect(store.url) as connection:
        connection.execute(
            text("CREATE TABLE IF NOT EXISTS predictions_all PARTITION OF predictions DEFAULT")
        )
        rows = [
            {
                "at": at + timedelta(microseconds=number),
                "request_id": f"{at:%d}-{number}",
                "row": 0,
                "use_case": use_case,
                "model_version": 1,
                "trace_id": None,
                "inputs": {"Sex": "female", "Name": "Zoë 🚢 100%", "Age": None},
                "output": {"probability": 0.5},
                "seconds": 0.25,
            }
            for number in range(count)
        ]
        connection.execute(insert(models.predictions), rows)


def export(store: Store, what: str, use_case: str = "titanic", **to: Any) -> sinks.Exported:
    """An export in this process."""
    return _export(store.url, _file(store, what, to), use_case)


def killed_export(store: Store, what: str, point: str, **to: Any) -> None:
    """One in a process of its own, which is killed at `point`."""
    in_a_process(_export, store.url, _file(store, what, to), "titanic", point=point)


def table(lake: URL, name: str) -> dict[str, Any]:
    """A table of the fixture `lake` as a sink's file names it."""
    return {"kind": "sql", "url": str(lake._replace(password=None)), "password": "out", "table": name}


def _file(store: Store, what: str, to: dict[str, Any]) -> Path:
    file = store.folder.parent / "out.yaml"
    file.write_text(yaml.safe_dump({"what": what, "to": to}))
    return file


def _export(url: str, file: Path, use_case: str) -> sinks.Exported:
    sinks._ROWS = 100
    named = sinks.read(use_case, str(file))
    assert named.name == "out"
    return sinks.export(use_case, named, url)


def in_files(place: str, use_case: str = "titanic") -> Days:
    """What readers of a folder find."""
    folder = path(place)
    files = (
        [] if kind(folder) is None else [each for each in entries(folder) if each.name.startswith(use_case)]
    )
    return {
        file.name[-18:-8]: Counter(pd.read_parquet(io.BytesIO(file.read_bytes()))["request_id"])
        for file in files
    }


def in_table(url: URL, name: str, use_case: str = "titanic") -> Days:
    """What readers of a table find."""
    found: Days = {}
    query = text(f"SELECT at, request_id FROM {name} WHERE use_case = :use_case")
    with create_engine(url, poolclass=NullPool).connect() as connection:
        for at, request in connection.execute(query, {"use_case": use_case}):
            found.setdefault(f"{at:%Y-%m-%d}", Counter())[request] += 1
    return found
