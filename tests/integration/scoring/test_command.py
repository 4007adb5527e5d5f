"""`score` as a person calls it: killed in the middle and called again, at a cluster, with a password."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from console import scoring as console
from settings import PROJECT
from tests.integration.command_line import CommandLine, read
from tests.integration.scoring.passengers import passengers


@pytest.fixture(scope="module")
def modelyard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command_line = CommandLine(tmp_path_factory.mktemp("scoring") / "home", port)
    trained = command_line("train", "titanic")
    assert trained.code == 0, trained.stderr
    yield command_line
    command_line("stop")


def test_a_file_in_three_parts_killed_in_the_middle_and_called_again(
    modelyard: CommandLine, tmp_path: Path
) -> None:
    frame = passengers(250_000, bad=0.002)
    frame.to_parquet(tmp_path / "in.parquet", index=False)
    command = ["score", "titanic", "--input", str(tmp_path / "in.parquet"), "--output", str(tmp_path / "out")]
    with subprocess.Popen(
        [sys.executable, "run.py", *command], cwd=PROJECT, env=modelyard.environment, stderr=subprocess.PIPE
    ) as process:
        deadline = time.monotonic() + 120
        while not (tmp_path / "out" / "part-00000.parquet").exists():
            assert process.poll() is None, process.stderr
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    assert len(list((tmp_path / "out").glob("part-*"))) < 3

    done = modelyard(*command)
    assert done.code == 0, done.stderr
    answered = pd.concat(pd.read_parquet(part) for part in sorted((tmp_path / "out").glob("part-*")))
    refused = pd.read_parquet(tmp_path / "out" / "_refused")
    assert sorted([*answered["id"], *refused["id"]]) == list(range(250_000))
    assert done.document["scored"] == len(answered)
    assert done.document["refused"] == len(refused) > 400
    assert done.document["parts"] == 3
    assert done.document["run"] in set(answered["zenml_run"])
    # Those who read the folder as one table get what was answered, without more.
    assert len(pd.read_parquet(tmp_path / "out")) == len(answered)
    text = read(console.report, done)
    assert f"answered {len(answered):,} of 250,000 rows" in text
    assert f"each with its reason: {tmp_path}/out/_refused" in text


def test_too_many_refused_rows_end_it_with_3_and_what_was_scored_is_there(
    modelyard: CommandLine, tmp_path: Path
) -> None:
    passengers(200, bad=0.3).to_csv(tmp_path / "in.csv", index=False)
    command = ["score", "titanic", "--input", str(tmp_path / "in.csv"), "--output", str(tmp_path / "out")]
    done = modelyard(*command)
    assert done.code == 3
    assert "That is more than --max-refused 1.00%" in read(console.report, done)
    assert len(pd.read_csv(tmp_path / "out" / "part-00000.csv")) == done.document["scored"] > 100
    assert modelyard(*command, "--max-refused", "50%").code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "postgresql://me:secret@host/db?table=t", "--output", "o"], "A password was given"),
        (
            ["--input", "postgresql://me@host/db", "--output", "o"],
            r"Name the table: postgresql://me@host/db?table=",
        ),
        (["--input", "env:NO_SUCH", "--output", "o"], "the environment variable NO_SUCH, which is not set"),
        (
            ["--input", "oracle://host/db?table=t", "--output", "o"],
            "The driver of oracle:// is not installed",
        ),
        (["--input", "in", "--output", "o", "--max-refused", "2"], "--max-refused takes a share such as 1%"),
        (["--input", "in", "--output", "o", "--stack", "kubernetes"], "which reaches s3:// alone"),
        (["--input", "nothing/here", "--output", "o"], "There is no file or folder"),
        (["--input", "run.py", "--output", "o"], r"To score are .parquet and .csv files"),
        (
            ["--input", "sqlite:///none.db?table=t", "--output", "o"],
            "There is no file none.db with a database",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_do(
    modelyard: CommandLine, arguments: list[str], message: str
) -> None:
    done = modelyard("score", "titanic", *arguments)
    assert done.code == 2
    assert message in done.document["error"]
    assert "secret" not in str(done.document) + done.stderr


def test_a_table_is_scored_with_the_password_of_its_own_server_from_the_environment(
    modelyard: CommandLine, database: str, tmp_path: Path
) -> None:
    """PGPASSWORD is that of the table's server, although Modelyard's own database has another one."""
    from sqlalchemy import create_engine

    password = os.environ["PGPASSWORD"]
    frame = passengers(100).assign(embarked_at=pd.Timestamp("1912-04-10", tz="UTC"))
    engine = create_engine(database)
    frame.to_sql("people", engine, index=False)
    command = ["score", "titanic", "--key", "id", "--keep", "id,embarked_at"]
    own = CommandLine(modelyard.home, 3000, PGPASSWORD=password)
    own.environment["PGPASSWORD"] = password
    first = own(*command, "--input", f"{database}?table=people", "--output", f"{database}?table=scored")
    assert first.code == 0, first.document

    file = tmp_path / "pgpass"
    file.write_text(f"*:*:*:*:{password}\n")
    file.chmod(0o600)
    by_file = CommandLine(modelyard.home, 3000, PGPASSFILE=str(file))
    second = by_file(*command, "--input", f"{database}?table=people", "--output", f"{database}?table=again")
    assert second.code == 0, second.document

    url = database.replace("modelyard@", f"modelyard:{password}@")
    by_name = CommandLine(modelyard.home, 3000, PEOPLE=f"{url}?table=people", SCORED=f"{url}?table=third")
    third = by_name(*command, "--input", "env:PEOPLE", "--output", "env:SCORED")
    assert third.code == 0, third.document
    assert password not in str(third.document) + third.stderr

    tables = [pd.read_sql_table(name, engine).sort_values("id") for name in ("scored", "again", "third")]
    for table in tables:
        assert list(table) == ["id", "embarked_at", "survived", "probability", "model_version", "zenml_run"]
        assert list(table["probability"]) == list(tables[0]["probability"])
    assert tables[0]["embarked_at"].dt.tz is not None
    engine.dispose()
