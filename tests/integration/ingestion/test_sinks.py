"""Predictions and what was found about them go elsewhere day by day, each row once."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import create_engine, insert, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from db import models, predictions
from db.session import advisory_lock, connect
from errors import Busy, DataError, UsageError
from ingestion import sinks
from tests.integration.ingestion.exporting import (
    DAY,
    export,
    in_files,
    in_table,
    predict,
    table,
)
from tests.integration.ingestion.store import Store


def decide(store: Store, status: str = "done", use_case: str = "titanic", more: str = "") -> None:
    with connect(store.url) as connection:
        connection.execute(
            insert(models.decisions).values(
                use_case=use_case,
                decision="retrain",
                reasons=["it drifted", *([more] if more else [])],
                evidence={},
                status=status,
                decided_by="me@here",
                at=DAY,
                ended_at=None if status == "begun" else DAY,
            )
        )


def happen(store: Store, at: datetime, request_id: str) -> None:
    with connect(store.url) as connection:
        connection.execute(
            insert(models.outcomes).values(use_case="titanic", request_id=request_id, row=0, value=1, at=at)
        )


@pytest.mark.parametrize("where", ["folder", "s3"])
def test_predictions_become_a_parquet_file_for_each_day(
    store: Store, tmp_path: Path, where: str, request: pytest.FixtureRequest
) -> None:
    place = request.getfixturevalue("bucket") + "/out" if where == "s3" else str(tmp_path / "out")
    # One lies at the very end of its day, the other at the beginning of the next.
    predict(store, 2, DAY)
    predict(store, 3, DAY, use_case="taxi")
    to = {"kind": "files", "path": place}
    assert export(store, "predictions", **to).days == {"2024-03-01": 1, "2024-03-02": 1}
    assert export(store, "predictions", **to).days == {}
    predict(store, 150, DAY - timedelta(hours=1))
    # Others have the same folder.
    assert export(store, "predictions", "taxi", **to).days == {"2024-03-01": 1, "2024-03-02": 2}
    decide(store)
    assert export(store, "decisions", **to).days == {"2024-03-01": 1}
    again = export(store, "predictions", **to)
    assert (again.days, again.there) == ({"2024-03-01": 151}, 1)
    assert {day: sum(found.values()) for day, found in in_files(place, "titanic-predictions").items()} == {
        "2024-03-01": 151,
        "2024-03-02": 1,
    }


def test_rows_in_a_file_are_as_they_were_logged(store: Store, tmp_path: Path) -> None:
    predict(store, 2, DAY)
    export(store, "predictions", kind="files", path=str(tmp_path / "out"))
    rows = pd.read_parquet(tmp_path / "out").sort_values("at", ignore_index=True)
    assert list(rows["at"]) == [DAY, DAY + timedelta(microseconds=1)]
    assert set(rows["inputs"].map(json.loads)[0].values()) == {"female", "Zoë 🚢 100%", None}
    assert list(rows["seconds"]) == [0.25, 0.25]


def test_a_day_that_was_cleaned_away_stays_at_the_sink(store: Store, tmp_path: Path) -> None:
    predict(store, 2, DAY - timedelta(hours=1))
    predict(store, 2, DAY + timedelta(hours=1))
    decide(store)
    to = {"kind": "files", "path": str(tmp_path / "out")}
    export(store, "predictions", **to)
    export(store, "decisions", **to)
    with connect(store.url) as connection:
        connection.execute(text("DELETE FROM predictions WHERE request_id LIKE '01-%'"))
        connection.execute(text("DELETE FROM decisions"))
    again = export(store, "predictions", **to)
    assert (again.days, again.there) == ({}, 2)
    assert export(store, "decisions", **to).days == {}
    assert len(pd.read_parquet(tmp_path / "out" / "titanic-predictions-2024-03-01.parquet")) == 2


def test_an_outcome_that_comes_for_a_day_that_was_cleaned_away_changes_nothing_at_the_sink(
    store: Store, tmp_path: Path
) -> None:
    today = datetime.now(UTC)
    long_ago = today - timedelta(days=9)
    for days in (9, 8, 1):
        happen(store, today - timedelta(days=days), f"{days} days ago")
    to = {"kind": "files", "path": str(tmp_path / "out")}
    export(store, "outcomes", **to)
    before = in_files(to["path"])
    assert len(before) == 3
    predictions.drop_older(store.url, 7)
    happen(store, long_ago, "late")
    happen(store, today, "new")
    again = export(store, "outcomes", **to)
    assert again.days == {f"{today:%Y-%m-%d}": 1}
    assert in_files(to["path"]) == {**before, f"{today:%Y-%m-%d}": Counter(["new"])}


def test_a_file_that_was_deleted_is_written_anew(store: Store, tmp_path: Path) -> None:
    predict(store, 2, DAY)
    to = {"kind": "files", "path": str(tmp_path / "out")}
    export(store, "predictions", **to)
    (tmp_path / "out" / "titanic-predictions-2024-03-02.parquet").unlink()
    assert export(store, "predictions", **to).days == {"2024-03-02": 1}


def test_a_decision_that_ended_meanwhile_is_written_anew_into_a_database(store: Store, lake: URL) -> None:
    to = table(lake, "their_decisions")
    for use_case, status in (("titanic", "begun"), ("titanic", "done"), ("taxi", "done")):
        decide(store, status, use_case)
    assert export(store, "decisions", **to).days == {"2024-03-01": 2}
    assert export(store, "decisions", **to).days == {}
    assert export(store, "decisions", "taxi", **to).days == {"2024-03-01": 1}
    with connect(store.url) as connection:
        connection.execute(text("UPDATE decisions SET status = 'failed', ended_at = now() WHERE id = 1"))
    assert export(store, "decisions", **to).days == {"2024-03-01": 2}
    with create_engine(lake, poolclass=NullPool).connect() as connection:
        found = connection.execute(text("SELECT status, reasons, at FROM their_decisions ORDER BY id")).all()
    at = DAY if lake.get_backend_name() == "postgresql" else DAY.replace(tzinfo=None)
    assert [tuple(row) for row in found] == [
        ("failed", '["it drifted"]', at),
        ("done", '["it drifted"]', at),
        ("done", '["it drifted"]', at),
    ]


def test_an_outcome_that_is_told_anew_the_next_day_is_there_once(store: Store, lake: URL) -> None:
    def tell(request: str, at: datetime) -> None:
        values = {"use_case": "titanic", "request_id": request, "row": 0, "value": 1.0, "at": at}
        with connect(store.url) as connection:
            connection.execute(text("DELETE FROM outcomes WHERE request_id = :request"), {"request": request})
            connection.execute(insert(models.outcomes), [values])

    for number in range(3):
        tell("first", DAY)
        tell(f"of day {number}", DAY + timedelta(days=number))
    export(store, "outcomes", **table(lake, "lake_outcomes"))
    tell("first", DAY + timedelta(days=5))
    # The only one of its day.
    tell("of day 1", DAY + timedelta(days=5))
    done = export(store, "outcomes", **table(lake, "lake_outcomes"))
    assert done.days == {"2024-03-01": 1, "2024-03-02": 0, "2024-03-06": 2}
    assert export(store, "outcomes", **table(lake, "lake_outcomes")).days == {}
    assert in_table(lake, "lake_outcomes") == {
        "2024-03-01": Counter(["of day 0"]),
        "2024-03-03": Counter(["of day 2"]),
        "2024-03-06": Counter(["first", "of day 1"]),
    }


def test_a_text_of_any_length_comes_whole(store: Store, lake: URL) -> None:
    decide(store, more="Zoë 🚢" * 30_000)
    export(store, "decisions", **table(lake, "long_ones"))
    with create_engine(lake, poolclass=NullPool).connect() as connection:
        found = connection.execute(text("SELECT reasons FROM long_ones")).scalar_one()
    assert json.loads(found) == ["it drifted", "Zoë 🚢" * 30_000]


def test_of_two_exports_at_once_the_second_is_told_to_wait(store: Store, tmp_path: Path) -> None:
    predict(store, 2, DAY)
    to = {"kind": "files", "path": str(tmp_path / "out")}
    name = f"export predictions of titanic to {tmp_path / 'out'}"
    with advisory_lock(store.url, name), pytest.raises(Busy, match=name):
        export(store, "predictions", **to)
    assert export(store, "predictions", **to).days == {"2024-03-01": 1, "2024-03-02": 1}


def test_a_table_of_somebody_else_is_left_alone(store: Store, lake: URL) -> None:
    predict(store, 2, DAY)
    with create_engine(lake, poolclass=NullPool).begin() as connection:
        connection.execute(text("CREATE TABLE mine (use_case VARCHAR(9), at TIMESTAMP, thesis VARCHAR(9))"))
        connection.execute(text("INSERT INTO mine VALUES ('titanic', '2024-03-01 10:00:00', 'years')"))
    with pytest.raises(UsageError, match=r"There is a table mine at .* already that no export has made"):
        export(store, "predictions", **table(lake, "mine"))
    export(store, "predictions", **table(lake, "predicted"))
    with pytest.raises(UsageError, match=r"predicted at .* has no column id, decision, .* for decisions"):
        export(store, "decisions", **table(lake, "predicted"))
    with create_engine(lake, poolclass=NullPool).begin() as connection:
        assert connection.execute(text("SELECT thesis FROM mine")).scalar_one() == "years"
        connection.execute(text("DROP TABLE predicted"))
    # Who drops a table wants it anew.
    assert len(export(store, "predictions", **table(lake, "predicted")).days) == 2
    assert in_table(lake, "predicted") == {"2024-03-01": Counter(["01-0"]), "2024-03-02": Counter(["01-1"])}


def test_what_keeps_a_sink_from_being_written_is_said_in_a_sentence(
    store: Store, lake: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(store, 1, DAY)
    monkeypatch.setenv("MODELYARD_SECRET_OUT", "another")
    with pytest.raises(
        DataError, match=r"^Cannot write .*(password authentication failed|Access denied)"
    ) as denied:
        export(store, "predictions", **table(lake, "out"))
    assert "another" not in str(denied.value)
    assert "\n" not in str(denied.value)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"Cannot (read|write) .*file: (File exists|Not a directory)"):
        export(store, "predictions", kind="files", path=str(tmp_path / "file"))


def test_a_sink_that_is_described_wrongly_is_refused(store: Store) -> None:
    with pytest.raises(UsageError, match="what: Input should be"):
        export(store, "secrets", kind="files", path="out")
    with pytest.raises(UsageError, match="has a password in it: name a secret") as refused:
        export(store, "checks", kind="sql", url="mysql://me:hidden@host/lake", table="out")
    assert "hidden" not in str(refused.value)
    with pytest.raises(UsageError, match="There is no sink 'nowhere'; there are: none"):
        sinks.read("titanic", "nowhere")
