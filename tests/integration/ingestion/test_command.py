"""From a source to a model and back, as a person types it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pandas as pd
import psycopg2
import pytest
import yaml

from console import ingestion
from db import embedded
from tests.integration.command_line import CommandLine, read
from tests.integration.ingestion.store import PASSENGERS


@pytest.fixture
def command(tmp_path: Path, free_port: int) -> Iterator[CommandLine]:
    home = tmp_path / "home"
    yield CommandLine(home, free_port)
    embedded.stop(home)


@pytest.mark.slow
def test_what_was_ingested_is_learnt_from_and_made_again(command: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    source = tmp_path / "people.yaml"
    source.write_text(yaml.safe_dump({"kind": "files", "path": "in"}))
    PASSENGERS[:500].assign(Sex=lambda rows: rows["Sex"].where(rows.index > 2, "?")).to_csv(
        tmp_path / "in" / "a.csv", index=False
    )
    first = command("ingest", "titanic", "--from", str(source))
    assert (first.code, first.document["rows"], first.document["rejected"]) == (0, 497, 3)
    assert "3 of 500 rows are in quarantine" in read(ingestion.report, first)
    trained = command("train", "titanic", "--source", "ingested", "--candidates", "baseline")
    assert trained.document["rows"]["read"] == 497, trained.document
    PASSENGERS[500:].to_parquet(tmp_path / "in" / "b.parquet")
    again = command("ingest", "titanic", "--from", str(source), "--full")
    assert (again.document["rows"], again.document["replaces"]) == (len(PASSENGERS) - 3, True)
    # What it learnt from no longer counts, and is there.
    made = command("reproduce", "titanic", "1")
    assert (made.document["equal"], made.document["differences"]) == (True, [])
    listed = command("sources", "titanic")
    (people,) = [each for each in listed.document["sources"] if each["source"] == "people"]
    assert (people["batches"], people["rows"], people["kind"]) == (1, len(PASSENGERS) - 3, "files")
    assert "sample" in read(ingestion.sources_report, listed)
    _export(command, tmp_path)


def _export(command: CommandLine, tmp_path: Path) -> None:
    with (
        closing(psycopg2.connect(command.url("modelyard"))) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("INSERT INTO outcomes VALUES ('titanic', 'mine', 0, 1.0, '2024-03-01 23:59:59+00')")
    sink = tmp_path / "lake.yaml"
    sink.write_text(yaml.safe_dump({"what": "outcomes", "to": {"kind": "files", "path": "lake"}}))
    done = command("export", "titanic", "--to", str(sink))
    assert (done.code, done.document["days"]) == (0, {"2024-03-01": 1})
    assert "outcomes of titanic to lake: 1 rows written" in read(ingestion.export_report, done)
    assert list(pd.read_parquet(tmp_path / "lake")["request_id"]) == ["mine"]


def test_a_secret_that_is_nowhere_is_asked_for_by_its_name(command: CommandLine, tmp_path: Path) -> None:
    source = tmp_path / "shop.yaml"
    about = {"kind": "sql", "url": "postgresql://me@127.0.0.1:1/db", "table": "t", "password": "shop"}
    source.write_text(yaml.safe_dump(about))
    unknown = command("ingest", "titanic", "--from", str(source), "--check")
    assert unknown.code == 2
    assert "MODELYARD_SECRET_SHOP" in unknown.document["error"]
