"""A scoring that is killed goes on where it was: no row twice, none lost, whenever it happens."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from sqlalchemy import BigInteger, Column, Double, MetaData, Table, Text, create_engine
from sqlalchemy.pool import NullPool

from errors import UsageError
from scoring import files, tables
from scoring.files import Files, Folder
from scoring.record import Record
from scoring.rows import Scorer
from scoring.run import score
from serving.endpoint import Endpoint
from settings import PROJECT
from tests.integration.releases.titanic import Built
from tests.integration.scoring.passengers import passengers
from usecases.files import path

COUNT = 450
RENAMES = ["1", "1+", "2+", "3", "4", "9+", "14"]
COMMITS = ["1", "1+", "2", "3+", "6"]
"""Points to be killed at: before the second lasting change, after the third."""


def test_into_a_folder(built: Built, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    frame = passengers(COUNT, bad=0.1)
    frame[:250].to_parquet(source / "a.parquet", row_group_size=90)
    frame[250:].to_parquet(source / "b.parquet", row_group_size=1000)
    for point in RENAMES:
        target = tmp_path / f"killed at {point}"
        assert _score(built, str(source), str(target), "first", point) is None
        assert _score(built, str(source), str(target), "second", "3+") is None
        record = _score(built, str(source), str(target), "third")
        assert record["finished"]
        assert [file for file in target.rglob("*") if file.suffix == files.DRAFT] == []
        answered = pd.concat(pd.read_parquet(part) for part in sorted(target.glob("part-*")))
        refused = pd.concat(pd.read_parquet(part) for part in sorted((target / files.REFUSED).glob("*")))
        _whole(frame, answered, refused, record)


@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_from_a_table_into_a_table(built: Built, database: str, tmp_path: Path, kind: str) -> None:
    url = database if kind == "postgresql" else f"sqlite:///{tmp_path}/people.db"
    frame = passengers(COUNT, bad=0.1)
    _fill(url, frame)
    for number, point in enumerate(COMMITS if kind == "postgresql" else COMMITS[1:3]):
        target = f"{url}?table=scored_{number}"
        assert _score(built, f"{url}?table=people", target, "first", point) is None
        assert _score(built, f"{url}?table=people", target, "second", "1+") is None
        record = _score(built, f"{url}?table=people", target, "third")
        assert record["finished"]
        engine = create_engine(url, poolclass=NullPool)
        answered, refused = (
            pd.read_sql_table(f"scored_{number}{suffix}", engine) for suffix in ("", tables.REFUSED)
        )
        _whole(frame, answered, refused, record)


def test_out_of_csv_and_into_postgresql(built: Built, database: str, tmp_path: Path) -> None:
    frame = passengers(COUNT, bad=0.1)
    frame.to_csv(tmp_path / "people.csv", index=False)
    target = f"{database}?table=public.scored"
    assert _score(built, str(tmp_path / "people.csv"), target, "first", "4") is None
    record = _score(built, str(tmp_path / "people.csv"), target, "second")
    engine = create_engine(database, poolclass=NullPool)
    answered, refused = (
        pd.read_sql_table(name, engine).astype({"id": int}) for name in ("scored", "scored_refused")
    )
    _whole(frame, answered, refused, record)
    # What is empty in CSV is the empty text, and not null.
    assert "" in set(answered["Embarked"])


def test_a_finished_scoring_is_not_done_again(model: Endpoint, tmp_path: Path) -> None:
    passengers(COUNT).to_parquet(tmp_path / "in.parquet")
    first = _in_here(model, tmp_path, "first")
    before = {part: part.stat().st_mtime_ns for part in (tmp_path / "out").iterdir()}
    assert _in_here(model, tmp_path, "second") == first
    assert {part: part.stat().st_mtime_ns for part in (tmp_path / "out").iterdir()} == before


def test_what_was_begun_with_another_input_or_version_is_not_gone_on_with(
    model: Endpoint, tmp_path: Path
) -> None:
    passengers(COUNT).to_parquet(tmp_path / "in.parquet")
    _in_here(model, tmp_path, "", version=1)
    with pytest.raises(UsageError, match="version: 1 there, 2 now"):
        _in_here(model, tmp_path, "", version=2)
    passengers(COUNT + 1).to_parquet(tmp_path / "in.parquet")
    with pytest.raises(UsageError, match="the input: not the one of then, or changed since"):
        _in_here(model, tmp_path, "", version=1)


def test_of_two_that_write_one_table_at_the_same_time_one_is_refused(
    model: Endpoint, database: str, tmp_path: Path
) -> None:
    passengers(10).to_parquet(tmp_path / "in.parquet")
    place = tables.find(f"{database}?table=scored")
    assert place is not None
    one, other = tables.TableTarget(place), tables.TableTarget(place)
    begun = Record(plan={})
    one.begin(begun)
    with pytest.raises(UsageError, match="Another command has begun to write"):
        other.begin(begun)
    part = begun.model_copy(update={"parts": 1})
    scored = Scorer(model, "").score(pa.Table.from_pandas(passengers(10), preserve_index=False))
    one.write(part, scored)
    with pytest.raises(UsageError, match=r"Another command writes .* at the same time"):
        other.write(part, scored)
    engine = create_engine(database, poolclass=NullPool)
    assert len(pd.read_sql_table("scored", engine)) == 10


def test_a_table_that_was_dropped_is_made_anew_and_one_of_somebody_else_is_left_alone(
    model: Endpoint, database: str, tmp_path: Path
) -> None:
    passengers(10).to_parquet(tmp_path / "in.parquet")
    place = tables.find(f"{database}?table=scored")
    assert place is not None
    engine = create_engine(database, poolclass=NullPool)
    for _ in range(2):
        source = Files(path(tmp_path / "in.parquet"))
        assert score(source, tables.TableTarget(place), Scorer(model, ""), {}).rows == 10
        assert len(pd.read_sql_table("scored", engine)) == 10
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE scored")
    pd.DataFrame({"thesis": ["years of work"]}).to_sql("mine", engine)
    mine = tables.find(f"{database}?table=mine")
    assert mine is not None
    with pytest.raises(UsageError, match="There is a table mine already that no scoring has made"):
        tables.TableTarget(mine).recorded()


def _score(built: Built, source: str, target: str, run: str, point: str = "") -> Any:
    """The record when it came to the end, None when it was killed."""
    command = [sys.executable, "-m", "tests.integration.scoring.killed", str(built.bento.path)]
    done = subprocess.run(
        [*command, source, target, run, *([point] if point else [])],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == -signal.SIGKILL:
        return None
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _whole(
    frame: pd.DataFrame, answered: pd.DataFrame, refused: pd.DataFrame, record: dict[str, Any]
) -> None:
    assert sorted([*answered["id"], *refused["id"]]) == sorted(frame["id"])
    assert record["rows"] == COUNT
    assert record["refused"] == len(refused) > 0
    assert set(answered["zenml_run"]) <= {"first", "second", "third"}
    assert answered["probability"].between(0, 1).all()


def _fill(url: str, frame: pd.DataFrame) -> None:
    kinds = {"object": Text, "str": Text, "int64": BigInteger, "float64": Double}
    table = Table(
        "people",
        MetaData(),
        *(Column(name, kinds[str(kind)], primary_key=name == "id") for name, kind in frame.dtypes.items()),
    )
    # In an order that is not the key's.
    rows = frame.sample(frac=1, random_state=1).astype(object)
    with create_engine(url, poolclass=NullPool).begin() as connection:
        table.create(connection)
        connection.execute(table.insert(), rows.where(rows.notna(), None).to_dict("records"))


def _in_here(model: Endpoint, folder: Path, run: str, **plan: Any) -> Record:
    source, target = Files(path(folder / "in.parquet")), Folder(path(folder / "out"), ".parquet")
    return score(source, target, Scorer(model, run), plan)
