"""Loads and exports that are killed, whenever it happens, and repeated: no row twice, none lost."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from db import batches as record
from ingestion.batches import fingerprint, sum_of_rows
from tests.integration.ingestion.exporting import (
    DAY,
    Days,
    export,
    in_files,
    in_table,
    killed_export,
    predict,
    table,
)
from tests.integration.ingestion.loading import run
from tests.integration.ingestion.store import PASSENGERS, Store

IDS = PASSENGERS["PassengerId"].tolist()
POINTS = {
    "in the middle of reading": "ingestion.door:Door.__call__ 4",
    "before the batch is noted": "db.batches:begin",
    "after it": "db.batches:begin+",
    "when its file is there": "ingestion.batches:publish+",
    "before the second file of the load": "dlt.destinations._adbc_jobs:AdbcParquetCopyJob.run 2",
    "after the second file": "dlt.destinations._adbc_jobs:AdbcParquetCopyJob.run+ 2",
    "before it is complete": "dlt.destinations.job_client_impl:SqlJobClientBase.complete_load",
    "when it is complete": "dlt.destinations.job_client_impl:SqlJobClientBase.complete_load+",
    "before it counts": "db.batches:count",
    "when it counts and is not listed": "db.batches:count+",
}
DAYS = {"2024-03-01": 250, "2024-03-02": 130}
FILES = {
    "in the middle of a file": "pyarrow.parquet.core:ParquetWriter.write_table+ 2",
    "between a file and the note on it": "ingestion.targets:Files._noted 2",
    "when it is noted": "ingestion.targets:Files.write+",
    "between two days": "ingestion.sinks:_day 2",
}
TABLES = {
    "when one of the two tables is made": "sqlalchemy.sql.schema:Table.create 2",
    "in the middle of a transaction": "ingestion.targets:insert_rows+ 2",
    "before it is committed": "sqlalchemy.engine.default:DefaultDialect.do_commit 2",
    "when it is committed": "sqlalchemy.engine.default:DefaultDialect.do_commit+ 2",
}
COMPLETE = ("when it is complete", "before it counts", "when it counts and is not listed")


@pytest.mark.parametrize("when", POINTS)
def test_a_first_load_that_is_killed(store: Store, when: str) -> None:
    store.put("a.parquet", PASSENGERS[:400])
    store.put("b.csv", PASSENGERS[400:])
    source = store.source()
    run(store.url, store.home, source, POINTS[when])
    # What readers go by has nothing of a load that does not count yet.
    assert store.files().empty
    batch = run(store.url, store.home, source)
    assert (batch is None) == (when in COMPLETE)
    store.check_whole(IDS)
    assert run(store.url, store.home, source) is None


def test_a_second_load_that_is_killed_twice_leaves_the_first_alone(store: Store) -> None:
    source = store.source()
    store.put("a.parquet", PASSENGERS[:300])
    run(store.url, store.home, source)
    store.put("b.parquet", PASSENGERS[300:])
    for when in ("after the second file", "in the middle of reading"):
        run(store.url, store.home, source, POINTS[when])
        assert sorted(store.files()["PassengerId"]) == IDS[:300]
    assert run(store.url, store.home, source)["rows"] == len(IDS) - 300
    store.check_whole(IDS)


@pytest.mark.parametrize(
    "when", ["after the second file", "before it counts", "when it counts and is not listed"]
)
def test_one_that_replaces_everything_shows_the_old_rows_or_the_new(store: Store, when: str) -> None:
    source = store.source()
    store.put("a.parquet", PASSENGERS[:500])
    run(store.url, store.home, source)
    store.put("a.parquet", PASSENGERS[200:])
    run(store.url, store.home, source, POINTS[when], full=True)
    assert sorted(store.files()["PassengerId"]) == IDS[:500]
    run(store.url, store.home, source, full=True)
    store.check_whole(IDS[200:])


def test_the_fingerprint_is_of_the_rows_however_they_were_cut(store: Store) -> None:
    store.put("a.parquet", PASSENGERS)
    batch = run(store.url, store.home, store.source())
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = pq.read_table(str(store.place / batch["file"]))
    shuffled = rows.take(pa.array(PASSENGERS.sample(frac=1, random_state=1).index))
    assert fingerprint(rows.schema, len(rows), sum_of_rows(shuffled)) == batch["fingerprint"]
    changed = PASSENGERS.assign(Fare=PASSENGERS["Fare"].where(PASSENGERS["PassengerId"] != 5, 1.0))
    store.put("a.parquet", changed)
    assert run(store.url, store.home, store.source(), full=True)["fingerprint"] != batch["fingerprint"]
    assert len(record.loaded(store.url, "titanic")) == 1


@pytest.fixture
def predicted(store: Store) -> Store:
    """With predictions of `DAYS`."""
    for rows, after in zip(DAYS.values(), (-1, 1), strict=True):
        predict(store, rows, DAY + timedelta(hours=after))
    return store


@pytest.mark.parametrize("where", ["folder", "s3"])
def test_an_export_to_files_that_is_killed(
    predicted: Store, tmp_path: Path, where: str, request: pytest.FixtureRequest
) -> None:
    root = request.getfixturevalue("bucket") if where == "s3" else str(tmp_path)
    for number, point in enumerate(list(FILES.values())[: 2 if where == "s3" else None]):
        place = f"{root}/{number}"
        _killed_and_repeated(predicted, point, functools.partial(in_files, place), kind="files", path=place)
    # What was begun and not finished takes no room afterwards.
    assert not list(tmp_path.rglob("*.draft"))


def test_an_export_to_a_table_that_is_killed(predicted: Store, lake: URL) -> None:
    for number, point in enumerate(TABLES.values()):
        name = f"killed_{number}"

        def look(name: str = name) -> Days:
            there = inspect(create_engine(lake, poolclass=NullPool)).has_table(name)
            return in_table(lake, name) if there else {}

        _killed_and_repeated(predicted, point, look, **table(lake, name))


def _killed_and_repeated(store: Store, point: str, look: Callable[[], Days], **to: Any) -> None:
    expected = {day: Counter(f"{day[-2:]}-{number}" for number in range(rows)) for day, rows in DAYS.items()}
    killed_export(store, "predictions", point, **to)
    half = look()
    # A day is there whole, or not at all.
    assert half == {day: rows for day, rows in expected.items() if day in half}
    second = export(store, "predictions", **to)
    assert second.days == {day: DAYS[day] for day in second.days}
    assert look() == expected
    third = export(store, "predictions", **to)
    assert (third.days, third.there) == ({}, 2)
