"""What ingestion fills, as its readers see it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool
from upath import UPath

import usecases
from db import batches as record
from ingestion import spec
from ingestion.load import Loaded, load
from training import batches as listing
from usecases.titanic.passengers import LIST

PASSENGERS = pd.read_csv(LIST)


@dataclass(frozen=True)
class Store:
    """A database, a home folder, and a folder with files to load."""

    url: str
    home: Path
    folder: Path

    def source(self, **more: Any) -> Path:
        """A source's file; without more it names the folder."""
        self.folder.mkdir(exist_ok=True)
        path = self.folder.parent / "people.yaml"
        path.write_text(yaml.safe_dump(more or {"kind": "files", "path": str(self.folder)}))
        return path

    def put(self, name: str, rows: pd.DataFrame) -> None:
        """Another file in the folder."""
        self.folder.mkdir(exist_ok=True)
        to = {".parquet": rows.to_parquet, ".csv": rows.to_csv}[Path(name).suffix]
        to(self.folder / name, index=False)

    def load(self, source: Path, *, full: bool = False) -> Loaded:
        """A load in this process."""
        return load(
            usecases.load("titanic"),
            spec.find("titanic", str(source)),
            url=self.url,
            place=self.place,
            home=self.home,
            full=full,
        )

    @property
    def place(self) -> UPath:
        return UPath(self.home) / "batches" / "titanic"

    def table(self, name: str = "titanic") -> pd.DataFrame:
        """A table of the schema `ingested`; empty when there is none."""
        with create_engine(self.url, poolclass=NullPool).connect() as connection:
            if not connection.execute(
                text("SELECT to_regclass(:name)"), {"name": f"ingested.{name}"}
            ).scalar():
                return pd.DataFrame({"PassengerId": [], "_dlt_load_id": []})
            return pd.read_sql(text(f"SELECT * FROM ingested.{name}"), connection)

    def batches(self) -> list[record.Recorded]:
        return record.loaded(self.url, "titanic")

    def files(self) -> pd.DataFrame:
        """The rows of the files that are learnt from."""
        listed = listing.read(self.place).batches
        frames = [pd.read_parquet(self.place / each.file) for each in listed]
        return pd.concat(frames, ignore_index=True) if frames else PASSENGERS.head(0)

    def check_whole(self, ids: list[int]) -> None:
        """Table, files and record have these passengers, each once, and nothing else is there."""
        table, files, batches = self.table(), self.files(), self.batches()
        assert sorted(table["PassengerId"]) == sorted(ids)
        assert sorted(files["PassengerId"]) == sorted(ids)
        assert sum(batch.rows for batch in batches) == len(ids)
        assert {batch.load_id for batch in batches} == set(table["_dlt_load_id"])
        listed = {batch.file for batch in batches} | {listing.LIST}
        if ids:
            assert {file.name for file in self.place.iterdir()} >= listed
        assert not record.begun(self.url, "titanic")
        # What a load worked with takes no room afterwards.
        assert not list((self.home / "ingestion").iterdir())
