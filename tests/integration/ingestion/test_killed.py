"""A load that is killed is repeated or comes to count, whenever it happens: no row twice, none lost."""

from __future__ import annotations

import pytest

from db import batches as record
from ingestion.batches import fingerprint, sum_of_rows
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
