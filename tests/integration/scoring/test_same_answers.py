"""A scoring says of each row what the endpoint says: the same bits, or the same reason."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from console.predictions import _read
from errors import DataError, UsageError
from scoring import files
from scoring.files import Files, Folder
from scoring.rows import Scorer
from scoring.run import score
from serving import client, rows
from serving.client import Refused
from serving.endpoint import Endpoint
from tests.integration.releases.titanic import Built
from tests.integration.scoring.passengers import passengers
from tests.integration.serving.live import Live, environment_of, serving
from usecases.files import path


@pytest.fixture(scope="module")
def live(built: Built, module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("endpoint")
    with serving(built, folder, environment_of(folder / "home", module_database), port=_free_port()) as live:
        yield live


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("bad", [0.0, 0.002, 0.08])
def test_files_get_the_answers_and_refusals_that_predict_gets(
    model: Endpoint, live: Live, tmp_path: Path, suffix: str, bad: float
) -> None:
    frame = passengers(3_000, bad=bad)
    file = tmp_path / f"passengers{suffix}"
    _write(frame, file)
    with client.connect(live.address) as endpoint:
        answers = endpoint.predict_many(rows.requests(model.contract, _read(file)))
    expected = dict(zip(frame["id"], answers, strict=True))

    record = score(Files(path(file)), Folder(path(tmp_path / "out"), suffix), Scorer(model, "a run"), {})

    scored, refused = _result(tmp_path / "out", suffix)
    assert record.refused == len(refused)
    assert bool(len(refused)) == bool(bad)
    came: dict[int, Any] = {
        row.id: {"survived": row.survived, "probability": row.probability, "model_version": row.model_version}
        for row in scored.itertuples()
    }
    came |= {row.id: Refused(row.refused) for row in refused.itertuples()}
    assert came == expected


def test_a_row_says_which_version_and_which_run_answered_it(model: Endpoint, tmp_path: Path) -> None:
    _write(passengers(10), tmp_path / "in.parquet")
    score(
        Files(path(tmp_path / "in.parquet")),
        Folder(path(tmp_path / "out"), ".parquet"),
        Scorer(model, "run 7"),
        {},
    )
    scored, _ = _result(tmp_path / "out", ".parquet")
    assert list(scored) == [*passengers(1), "survived", "probability", "model_version", "zenml_run"]
    assert set(scored["model_version"]) == {1}
    assert set(scored["zenml_run"]) == {"run 7"}


def test_columns_that_are_kept_come_out_as_they_came(model: Endpoint, tmp_path: Path) -> None:
    text = 'id,note,Pclass,Sex\n007,1.50,1,female\n008,,2.0,male\n009,"a, ""b""\nc",x,male\n'
    (tmp_path / "in.csv").write_text(text)
    score(
        Files(path(tmp_path / "in.csv")),
        Folder(path(tmp_path / "out"), ".csv"),
        Scorer(model, "", ["id", "note"]),
        {},
    )
    scored, refused = _result(tmp_path / "out", ".csv", dtype=str, keep_default_na=False)
    assert scored[["id", "note"]].to_numpy().tolist() == [["007", "1.50"], ["008", ""]]
    assert refused[["id", "note", "Pclass"]].to_numpy().tolist() == [["009", 'a, "b"\nc', "x"]]
    assert refused["refused"].item() == "Pclass: Input should be a valid integer, came 'x'"


def test_a_column_that_a_request_may_leave_out_may_be_missing(model: Endpoint, tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"Pclass": [1], "Sex": ["male"], "when": [pd.Timestamp("2026-01-01")]}),
        tmp_path / "a.parquet",
    )
    score(
        Files(path(tmp_path / "a.parquet")), Folder(path(tmp_path / "out"), ".parquet"), Scorer(model, ""), {}
    )
    scored, _ = _result(tmp_path / "out", ".parquet")
    request = model.validate(b'{"Pclass": 1, "Sex": "male"}')
    assert scored["probability"].item() == model.predict_many([request]).item()


def test_rows_of_any_types_are_scored_or_refused_and_never_lost(model: Endpoint) -> None:
    table = pa.table(
        {
            "Pclass": pa.array([1, None], pa.int8()),
            "Sex": pa.array(["male", "female"]).dictionary_encode(),
            "Age": pa.array([[1.0], [2.0]]),
            "Fare": pa.array(["8.05", None]).cast(pa.decimal128(6, 2)),
        }
    )
    scored = Scorer(model, "").score(table)
    assert len(scored.answered) == 0
    first, second = scored.refused["refused"].to_pylist()
    assert first == "Age: Input should be a valid number"
    assert second.startswith("Pclass: Input should be a valid integer")
    assert len(Scorer(model, "").score(table.drop_columns("Age")).answered) == 1


def test_infinities_and_rows_of_nothing_but_nonsense_are_refused_each_by_itself(model: Endpoint) -> None:
    table = pa.table(
        {
            "Pclass": [1] * 500,
            "Sex": ["male"] * 500,
            "Age": [float("inf"), *range(-499, 0)],
            "Fare": [None] * 500,
        }
    )
    scored = Scorer(model, "").score(table)
    reasons = scored.refused["refused"].to_pylist()
    assert reasons[0].startswith("Age: Input should be a finite number")
    assert reasons[1] == "Age: Input should be greater than or equal to 0, came -499.0"
    assert len(reasons) == 500


def test_what_cannot_be_scored_is_refused_before_anything_is_written(model: Endpoint, tmp_path: Path) -> None:
    def attempt(frame: pd.DataFrame, keep: list[str] | None = None) -> None:
        _write(frame, tmp_path / "in.parquet")
        score(
            Files(path(tmp_path / "in.parquet")),
            Folder(path(tmp_path / "out"), ".parquet"),
            Scorer(model, "", keep),
            {},
        )

    with pytest.raises(DataError, match="lack Sex, which a request to titanic must have"):
        attempt(passengers(1).drop(columns="Sex"))
    with pytest.raises(UsageError, match="--keep names colour, and the columns are: id, name"):
        attempt(passengers(1), ["colour"])
    with pytest.raises(UsageError, match="has survived, which is what a column of the result is called"):
        attempt(passengers(1).assign(survived=True))
    attempt(passengers(1).assign(survived=True), ["id"])


def test_files_of_a_folder_that_do_not_belong_together_are_told(model: Endpoint, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with pytest.raises(UsageError, match=r"To score are \.parquet and \.csv files"):
        Files(path(folder))
    with pytest.raises(UsageError, match="There is no file or folder"):
        Files(path(tmp_path / "nothing"))
    _write(passengers(5), folder / "a.parquet")
    _write(passengers(5).drop(columns="name"), folder / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet has other columns than a\.parquet: name"):
        score(Files(path(folder)), Folder(path(tmp_path / "out"), ".parquet"), Scorer(model, ""), {})
    _write(passengers(5), folder / "c.csv")
    with pytest.raises(UsageError, match=r"both \.parquet and \.csv"):
        Files(path(folder))
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match=r"Cannot read .*broken\.parquet as parquet"):
        score(
            Files(path(tmp_path / "broken.parquet")),
            Folder(path(tmp_path / "o"), ".parquet"),
            Scorer(model, ""),
            {},
        )


def test_a_folder_of_somebody_else_is_not_written_into(model: Endpoint, tmp_path: Path) -> None:
    _write(passengers(5), tmp_path / "in.parquet")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="has files that no scoring has written"):
        score(
            Files(path(tmp_path / "in.parquet")),
            Folder(path(tmp_path / "mine"), ".parquet"),
            Scorer(model, ""),
            {},
        )
    with pytest.raises(UsageError, match="--output must be a folder"):
        Folder(path(tmp_path / "in.parquet"), ".parquet").recorded()


def test_files_on_s3_are_scored_where_they_lie(
    model: Endpoint, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(files, "CHUNK", 40)
    for name, start in (("a", 0), ("b", 100)):
        _write(passengers(200, bad=0.1)[start : start + 100], tmp_path / "part.parquet")
        path(f"{bucket}/new/{name}.parquet").write_bytes((tmp_path / "part.parquet").read_bytes())
    target = f"{bucket}/scored"
    record = score(Files(path(f"{bucket}/new")), Folder(path(target), ".parquet"), Scorer(model, ""), {})
    again = score(Files(path(f"{bucket}/new")), Folder(path(target), ".parquet"), Scorer(model, ""), {})
    assert record == again
    assert record.rows == 200
    assert record.parts == 6
    parts = sorted(path(target).glob("part-*.parquet"), key=str)
    numbers = pd.concat(pd.read_parquet(part.open("rb")) for part in parts)["id"]
    assert len(parts) == 6
    assert numbers.is_monotonic_increasing
    assert len(numbers) == 200 - record.refused


def _write(frame: pd.DataFrame, file: Path) -> None:
    if file.suffix == ".csv":
        frame.to_csv(file, index=False)
    else:
        frame.to_parquet(file, index=False, row_group_size=700)


def _result(folder: Path, suffix: str, **options: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    def read(folder: Path) -> pd.DataFrame:
        found = sorted(folder.glob(f"part-*{suffix}"))
        if not found:
            return pd.DataFrame()
        if suffix == ".csv":
            return pd.concat(pd.read_csv(file, **options) for file in found)
        return pd.concat(pd.read_parquet(file) for file in found)

    return read(folder), read(folder / files.REFUSED)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
