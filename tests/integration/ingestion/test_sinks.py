"""Predictions and what was found about them go elsewhere day by day, each row once."""

from __future__ import annotations

import io
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from sqlalchemy import create_engine, insert, text
from sqlalchemy.pool import NullPool
from upath import UPath

from db import models
from db.session import connect
from errors import UsageError
from ingestion import sinks
from tests.integration.ingestion.store import Store

DAY = datetime(2024, 3, 1, 23, 59, 59, 999999, UTC)


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
                "inputs": {"Sex": "female", "Age": None},
                "output": {"probability": 0.5},
                "seconds": 0.25,
            }
            for number in range(count)
        ]
        connection.execute(insert(models.predictions), rows)


def sink(store: Store, what: str, use_case: str = "titanic", **to: Any) -> sinks.Exported:
    file = store.folder.parent / "out.yaml"
    file.write_text(yaml.safe_dump({"what": what, "to": to}))
    named = sinks.read(use_case, str(file))
    assert named.name == "out"
    return sinks.export(use_case, named, store.url)


@pytest.mark.parametrize("where", ["folder", "s3"])
def test_predictions_become_a_parquet_file_for_each_day(
    store: Store, tmp_path: Path, where: str, request: pytest.FixtureRequest
) -> None:
    place = request.getfixturevalue("bucket") + "/out" if where == "s3" else str(tmp_path / "out")
    # One lies at the very end of its day, the other at the beginning of the next.
    predict(store, 2, DAY)
    predict(store, 3, DAY, use_case="taxi")
    first = sink(store, "predictions", kind="files", path=place)
    assert first.days == {"2024-03-01": 1, "2024-03-02": 1}
    assert sink(store, "predictions", kind="files", path=place).days == {}
    predict(store, 5, DAY - timedelta(hours=1))
    # Another use case has the same folder.
    assert sink(store, "predictions", use_case="taxi", kind="files", path=place).days == {
        "2024-03-01": 1,
        "2024-03-02": 2,
    }
    again = sink(store, "predictions", kind="files", path=place)
    assert (again.days, again.there) == ({"2024-03-01": 6}, 1)
    files = [file for file in UPath(place).iterdir() if file.name.startswith("titanic-")]
    rows = pd.concat(pd.read_parquet(io.BytesIO(file.read_bytes())) for file in files)
    assert len(rows) == 7
    assert set(rows["inputs"]) == {'{"Age": null, "Sex": "female"}'}
    assert rows["at"].max() == DAY + timedelta(microseconds=1)


def test_a_day_that_was_cleaned_away_stays_at_the_sink(store: Store, tmp_path: Path) -> None:
    predict(store, 2, DAY - timedelta(hours=1))
    to = {"kind": "files", "path": str(tmp_path / "out")}
    sink(store, "predictions", **to)
    with connect(store.url) as connection:
        connection.execute(text("DELETE FROM predictions WHERE request_id LIKE '%-0'"))
    assert sink(store, "predictions", **to).days == {}
    assert len(pd.read_parquet(tmp_path / "out" / "titanic-2024-03-01.parquet")) == 2


def test_a_decision_that_ended_meanwhile_is_written_anew_into_a_database(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_SECRET_OUT", os.environ["PGPASSWORD"])
    to = {"kind": "sql", "url": store.url, "password": "out", "table": "their_decisions"}
    with connect(store.url) as connection:
        for use_case, status in (("titanic", "begun"), ("titanic", "done"), ("taxi", "done")):
            connection.execute(
                insert(models.decisions).values(
                    use_case=use_case,
                    decision="retrain",
                    reasons=["it drifted"],
                    evidence={},
                    status=status,
                    decided_by="me@here",
                    at=DAY,
                    ended_at=None if status == "begun" else DAY,
                )
            )
    assert sink(store, "decisions", **to).days == {"2024-03-01": 2}
    assert sink(store, "decisions", **to).days == {}
    assert sink(store, "decisions", use_case="taxi", **to).days == {"2024-03-01": 1}
    with connect(store.url) as connection:
        connection.execute(text("UPDATE decisions SET status = 'failed', ended_at = now() WHERE id = 1"))
    assert sink(store, "decisions", **to).days == {"2024-03-01": 2}
    with create_engine(store.url, poolclass=NullPool).connect() as connection:
        found = connection.execute(text("SELECT status, reasons, at FROM their_decisions ORDER BY id")).all()
    assert [tuple(row) for row in found] == [
        ("failed", '["it drifted"]', DAY),
        ("done", '["it drifted"]', DAY),
        ("done", '["it drifted"]', DAY),
    ]


def test_a_sink_that_is_described_wrongly_is_refused(store: Store) -> None:
    with pytest.raises(UsageError, match="what: Input should be"):
        sink(store, "secrets", kind="files", path="out")
    with pytest.raises(UsageError, match="There is no sink 'nowhere'; there are: none"):
        sinks.read("titanic", "nowhere")
