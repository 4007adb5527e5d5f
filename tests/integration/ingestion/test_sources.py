"""Sources of every kind against servers of their kind: a second load reads only what is new."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool
from upath import UPath

import usecases
from db.session import advisory_lock
from errors import Busy, DataError
from ingestion import spec
from ingestion.check import check
from ingestion.load import load
from tests.integration.ingestion.api import serving
from tests.integration.ingestion.store import PASSENGERS, Store
from tests.integration.postgresql import mariadb
from training import batches as listing
from training.fingerprint import of_data

IDS = PASSENGERS["PassengerId"].tolist()
# Moments of which several rows share each.
MOMENTS = pd.Timestamp("2024-01-01") + pd.to_timedelta(PASSENGERS.index // 10, unit="h")
ROWS = PASSENGERS.assign(at=MOMENTS)


def test_files_of_three_formats_and_only_the_new_ones(store: Store) -> None:
    source = store.source()
    store.put("a.parquet", PASSENGERS[:200])
    store.put("b.csv", PASSENGERS[200:400])
    first = store.load(source).batch
    assert first is not None
    assert {name: file["rows"] for name, file in first.lineage["files"].items()} == {
        "a.parquet": 200,
        "b.csv": 200,
    }
    lines = PASSENGERS[400:].to_json(orient="records", lines=True)
    (store.folder / "c.jsonl").write_text(lines)
    second = store.load(source).batch
    assert second is not None
    assert list(second.lineage["files"]) == ["c.jsonl"]
    store.check_whole(IDS)
    pd.testing.assert_frame_equal(
        store.files().sort_values("PassengerId", ignore_index=True),
        usecases.load("titanic").read(usecases.load("titanic").locate("sample", None, Path())),
    )
    assert store.load(source).batch is None
    store.put("a.parquet", PASSENGERS[:199])
    with pytest.raises(DataError, match=r"Changed since they were loaded: a\.parquet"):
        store.load(source)
    store.check_whole(IDS)


def test_an_empty_text_stays_one(store: Store) -> None:
    store.put(
        "a.parquet", PASSENGERS.assign(Embarked=PASSENGERS["Embarked"].where(PASSENGERS["Pclass"] > 1, ""))
    )
    loaded = store.load(store.source()).batch
    assert loaded is not None
    assert loaded.rejected == (PASSENGERS["Pclass"] == 1).sum()
    assert set(store.table("titanic_quarantine")["reason"]) == {"Embarked: expected isin(['C', 'Q', 'S'])"}


def test_what_is_rejected_is_in_quarantine_with_its_reason_and_counted(store: Store) -> None:
    bad = PASSENGERS.assign(Age=PASSENGERS["Age"].where(PASSENGERS["PassengerId"] > 5, -1.0))
    store.put("a.csv", bad)
    loaded = store.load(store.source()).batch
    assert loaded is not None
    assert (loaded.rows, loaded.rejected) == (len(IDS) - 5, 5)
    assert loaded.lineage["reasons"] == {"Age: expected in_range(0, 120)": 5}
    quarantine = store.table("titanic_quarantine")
    assert sorted(int(json.loads(row)["PassengerId"]) for row in quarantine["row"]) == [1, 2, 3, 4, 5]
    assert set(quarantine["_dlt_load_id"]) == {loaded.load_id}
    store.check_whole(IDS[5:])


def test_a_load_that_is_rejected_as_a_whole_leaves_nothing(store: Store) -> None:
    store.put("a.parquet", PASSENGERS[:100])
    store.put("b.parquet", PASSENGERS[100:].drop(columns="Sex"))
    source = store.source()
    with pytest.raises(DataError, match="column Sex is missing"):
        store.load(source)
    store.check_whole([])
    store.put("b.parquet", PASSENGERS[100:])
    store.load(source)
    store.check_whole(IDS)


def test_files_on_s3(store: Store, bucket: str) -> None:
    place = UPath(f"{bucket}/people")
    for name, rows in {"a.parquet": PASSENGERS[:500], "b.parquet": PASSENGERS[500:]}.items():
        with (place / name).open("wb") as file:
            rows.to_parquet(file)
        source = store.source(kind="files", path=f"{bucket}/people/*.parquet")
        loaded = store.load(source).batch
        assert loaded is not None
        assert list(loaded.lineage["files"]) == [name]
        assert loaded.lineage["files"][name]["mark"].startswith("etag:")
    store.check_whole(IDS)


@pytest.mark.parametrize("database_of", ["postgresql", pytest.param("mariadb", marks=mariadb.needed)])
def test_a_table_by_its_cursor(
    store: Store, database_of: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database_of == "mariadb":
        url = request.getfixturevalue("maria")
    else:
        url = make_url(store.url).set(password=os.environ["PGPASSWORD"])
    monkeypatch.setenv("MODELYARD_SECRET_SHOP", url.password)
    engine = create_engine(url, poolclass=NullPool)
    shown = str(url._replace(password=None))
    about = {"kind": "sql", "url": shown, "password": "shop", "cursor": {"column": "at"}}
    # The boundary lies among rows with the same moment.
    ROWS[:505].to_sql("people", engine, index=False)
    source = store.source(**about, table="people")
    first = store.load(source).batch
    assert first is not None
    assert first.rows == 505
    assert store.load(source).batch is None
    ROWS[505:].to_sql("people", engine, index=False, if_exists="append")
    second = store.load(source).batch
    assert second is not None
    assert second.rows == len(IDS) - 505
    assert (second.lineage["since"], second.lineage["until"]) != (None, None)
    assert second.lineage["since"] == first.lineage["until"]
    store.check_whole(IDS)
    assert check(usecases.load("titanic"), spec.find("titanic", str(source)))["rows"] == 100
    mistaken = store.source(**about | {"cursor": {"column": "when"}}, table="people")
    with pytest.raises(DataError, match="The cursor's column when is not there; there are: PassengerId"):
        check(usecases.load("titanic"), spec.find("titanic", str(mistaken)))
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE people"))
    assert url.password not in json.dumps(second.lineage)


def test_a_query_without_a_cursor_replaces_what_it_loaded_before(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_SECRET_SHOP", os.environ["PGPASSWORD"])
    engine = create_engine(store.url, poolclass=NullPool)
    ROWS[:300].to_sql("people", engine, index=False)
    query = 'SELECT p.*, "Fare" AS price FROM people p WHERE "PassengerId" > 10;'
    source = store.source(kind="sql", url=store.url, password="shop", query=query, columns={"Fare": "price"})
    assert store.load(source).batch is not None
    assert store.load(source).batch is None
    ROWS[300:].to_sql("people", engine, index=False, if_exists="append")
    assert store.load(source).batch is not None
    store.check_whole(IDS[10:])
    with pytest.raises(DataError, match=r"Cannot read postgresql://.*nowhere"):
        store.load(store.source(kind="sql", url=store.url, password="shop", table="nowhere"))


def test_an_api_with_pages_keys_limits_and_failures_in_the_middle_of_a_page(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = json.loads(PASSENGERS.to_json(orient="records"))
    monkeypatch.setenv("MODELYARD_SECRET_API", "let me in")
    with serving() as api:
        source = store.source(
            kind="rest",
            url=api.url,
            rows="data.items",
            paging={"kind": "page"},
            auth={"kind": "bearer", "secret": "api"},
            cursor={"column": "PassengerId", "initial": 0},
            cursor_param="since",
        )
        api.rows = people[:450]
        api.faults = {2: "busy", 4: "broken", 6: "error"}
        first = store.load(source).batch
        assert first is not None
        assert (first.rows, first.lineage["until"]) == (450, 450)
        assert api.waited is not None
        assert api.waited >= 1
        assert not api.faults
        api.rows = people
        api.asked.clear()
        second = store.load(source).batch
        assert second is not None
        assert second.rows == len(IDS) - 450
        assert api.asked[0]["since"] == "450"
        store.check_whole(IDS)
        api.key = "changed"
        with pytest.raises(DataError, match="it answered 401 Unauthorized"):
            store.load(source)


def test_a_look_at_a_source_loads_nothing(store: Store) -> None:
    store.put("a.csv", PASSENGERS.assign(Survived=2).rename(columns={"Fare": "price"}))
    with pytest.raises(DataError, match="column Fare is missing"):
        check(usecases.load("titanic"), spec.find("titanic", str(store.source())))
    source = store.source(kind="files", path=str(store.folder), columns={"Fare": "price"})
    found = check(usecases.load("titanic"), spec.find("titanic", str(source)))
    assert found["rows"] == len(found["rejected"]) == 100
    assert "Survived" in found["rejected"][0]["reason"]
    assert {"column": "Fare", "from": "price", "comes_as": "string", "becomes": "double"} in found["columns"]
    assert "Cabin" in found["left_out"]
    assert store.table().empty


def test_one_load_of_a_use_case_at_a_time_and_the_second_is_told_who(store: Store) -> None:
    store.put("a.csv", PASSENGERS)
    with (
        advisory_lock(store.url, "ingest titanic"),
        pytest.raises(
            Busy, match=rf"ingest titanic\. Wait for its end, or stop it: process {os.getpid()} on "
        ),
    ):
        store.load(store.source())


def test_batches_may_stay_on_s3(store: Store, bucket: str) -> None:
    place = UPath(f"{bucket}/batches/titanic")
    case = usecases.load("titanic")
    source = spec.find("titanic", str(store.source()))
    for name, rows in {"a.parquet": PASSENGERS[:500], "b.parquet": PASSENGERS[500:]}.items():
        store.put(name, rows)
        assert load(case, source, url=store.url, place=place, home=store.home).batch is not None
    files = [place / each.file for each in listing.read(place).batches]
    assert sorted(case.read(files)["PassengerId"]) == IDS
    assert all(of_data(file).startswith("etag:") for file in files)


def test_a_connection_that_is_lost_ends_the_load_and_the_next_one_does_it(store: Store) -> None:
    source = store.source()
    store.put("a.parquet", PASSENGERS[:100])
    store.load(source)
    store.put("b.parquet", PASSENGERS[100:])
    engine = create_engine(store.url, poolclass=NullPool)
    waiting = text(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with engine.connect() as blocking, engine.connect() as looking, ThreadPoolExecutor(1) as thread:
        looking = looking.execution_options(isolation_level="AUTOCOMMIT")
        blocking.execute(text("LOCK TABLE ingested.titanic"))
        loading = thread.submit(store.load, source)
        deadline = time.monotonic() + 60
        while (pid := looking.execute(waiting).scalar()) is None and not loading.done():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        looking.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        with pytest.raises(DataError, match="nothing of it counts"):
            loading.result()
    assert store.load(source).batch is not None
    store.check_whole(IDS)
