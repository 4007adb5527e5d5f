"""Everything into a file while work goes on, and back: elsewhere, over what is there, or not at all."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from console import upkeep_reports
from db import databases, dump
from db.session import connect
from settings import PROJECT
from tests.integration.command_line import CommandLine, Done, read
from tests.integration.postgresql.servers import free_port, rows

SECONDS = 60
PASSENGER = '{"Pclass": 3, "Sex": "male", "Age": 22, "SibSp": 1, "Parch": 0, "Fare": 7.25, "Embarked": "S"}'


@pytest.fixture(scope="module")
def modelyard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """A home with a champion that is served, and a secret."""
    command_line = CommandLine(tmp_path_factory.mktemp("backup") / "home", free_port())
    assert command_line("train", "titanic").code == 0
    assert command_line("release", "titanic").code == 0
    command_line.tool("zenml", "secret", "create", "kept", "--key=naïve 東京")
    yield command_line
    command_line("stop")


@pytest.fixture(scope="module")
def saved(modelyard: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A backup, taken in the middle of a training."""
    training = subprocess.Popen(
        [sys.executable, "run.py", "train", "titanic", "--seed", "7"],
        cwd=PROJECT,
        env=modelyard.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert training.stderr is not None
    for line in training.stderr:
        if line.startswith("train: split"):
            break
    done = modelyard("backup", str(tmp_path_factory.mktemp("saved") / "backup.tar"))
    assert training.poll() is None, "the training was over before the backup was"
    training.communicate()
    return done


@pytest.fixture(scope="module")
def elsewhere(saved: Done, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """Another home, with nothing in it but what was restored."""
    command_line = CommandLine(tmp_path_factory.mktemp("elsewhere") / "a longer name of a home", free_port())
    done = command_line("restore", saved.document["file"])
    assert done.code == 0, done.stderr
    assert "local resources" not in done.stderr
    assert "each checked" in read(upkeep_reports.restored, done)
    yield command_line
    command_line("stop")


def test_a_backup_is_one_file_that_its_owner_alone_can_read(saved: Done) -> None:
    assert saved.code == 0, saved.stderr
    file = Path(saved.document["file"])
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["backup.tar"]
    text = read(upkeep_reports.saved, saved)
    assert "rows of zenml" in text
    assert "ZenML's secrets is in it" in text


def test_no_password_of_a_database_is_in_it(saved: Done, modelyard: CommandLine) -> None:
    password = (modelyard.home / "postgresql" / "password").read_bytes()
    assert password not in Path(saved.document["file"]).read_bytes()


def test_it_is_the_same_elsewhere(saved: Done, elsewhere: CommandLine) -> None:
    with tarfile.open(saved.document["file"]) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
    expected = {name: database["rows"] for name, database in manifest["databases"].items()}
    # The endpoint's process is not there, which the trail of releases has as well.
    expected["modelyard"]["audit"] += 1
    for name, url in _urls(elsewhere).items():
        with connect(url) as connection:
            assert dump.count(connection) == expected[name]
    assert elsewhere("history", "titanic", "--verify").code == 0


def test_the_champion_answers_elsewhere_as_before(modelyard: CommandLine, elsewhere: CommandLine) -> None:
    before = modelyard("predict", "titanic", PASSENGER).document["response"]
    released = elsewhere("release", "titanic")
    assert released.code == 0, released.stderr
    assert released.document["verified"] > 200
    assert elsewhere("predict", "titanic", PASSENGER).document["response"] == before


def test_secrets_can_be_read_elsewhere(elsewhere: CommandLine) -> None:
    assert "naïve 東京" in elsewhere.tool("zenml", "secret", "get", "kept")


def test_no_path_of_the_old_home_is_left_in_the_databases(
    modelyard: CommandLine, elsewhere: CommandLine
) -> None:
    old = f"{modelyard.home}/"
    for url in _urls(elsewhere).values():
        tables = rows(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        assert tables
        for (table,) in tables:
            query = f'SELECT count(*) FROM "{table}" row WHERE position(%s IN row::text) > 0'
            assert rows(url, query, old) == [(0,)], table


def test_the_training_that_went_on_meanwhile_can_be_done_again(elsewhere: CommandLine) -> None:
    statuses = rows(_urls(elsewhere)["zenml"], "SELECT status FROM pipeline_run WHERE name LIKE 'train%%'")
    assert sorted(statuses) == [("completed",), ("running",)]
    done = elsewhere("train", "titanic", "--seed", "7")
    assert done.document["version"] == 2, done.stderr


def test_what_is_there_is_not_given_up_unasked(saved: Done, elsewhere: CommandLine) -> None:
    done = elsewhere("restore", saved.document["file"])
    assert done.code == 2
    assert "add --replace" in done.document["error"]


def test_what_runs_is_not_pulled_away(saved: Done, modelyard: CommandLine) -> None:
    done = modelyard("restore", saved.document["file"], "--replace")
    assert done.code == 2
    assert (
        "Endpoints run on what would be replaced: titanic. First: python run.py down"
        in done.document["error"]
    )


def test_nobody_who_works_on_the_databases_is_thrown_out(saved: Done, elsewhere: CommandLine) -> None:
    elsewhere("stop")
    elsewhere.tool("zenml", "secret", "list")  # which starts PostgreSQL
    url = _urls(elsewhere)["mlflow"]
    connection = psycopg2.connect(url, application_name="a notebook")
    try:
        done = elsewhere("restore", saved.document["file"], "--replace")
    finally:
        connection.close()
    assert done.code == 2
    assert "for a notebook" in done.document["error"]


def test_killed_at_any_point_it_is_done_again_and_nothing_is_left_over(saved: Done, tmp_path: Path) -> None:
    command_line = CommandLine(tmp_path / "home", free_port())
    stages: list[Callable[[], Any]] = [
        lambda: list(command_line.home.glob("restoring-*/databases/*")),
        lambda: "zenml_restoring" in _names(command_line),
        lambda: "modelyard_restoring" in _names(command_line),
    ]
    try:
        for reached in stages:
            _killed_when(reached, command_line, "restore", saved.document["file"])
        done = command_line("restore", saved.document["file"], "--replace")
        assert done.code == 0, done.stderr
        assert list(command_line.home.glob("restoring-*")) == []
        assert sorted(_names(command_line)) == [
            "mlflow",
            "modelyard",
            "postgres",
            "template0",
            "template1",
            "zenml",
        ]
        assert command_line("status").document["use_cases"][1]["champion"] == 1
    finally:
        command_line("stop")


def test_what_was_there_is_gone_after_it_was_replaced(saved: Done, elsewhere: CommandLine) -> None:
    assert elsewhere("stop").code == 0
    elsewhere.tool("zenml", "secret", "create", "newer", "--key=1")
    assert elsewhere("restore", saved.document["file"], "--replace").code == 0
    names = elsewhere.tool("zenml", "secret", "list")
    assert "kept" in names
    assert "newer" not in names


def test_a_damaged_backup_changes_nothing(saved: Done, tmp_path: Path) -> None:
    command_line = CommandLine(tmp_path / "home", free_port())
    damaged = tmp_path / "damaged.tar"
    content = bytearray(Path(saved.document["file"]).read_bytes())
    with tarfile.open(saved.document["file"]) as archive:
        largest = max(archive.getmembers(), key=lambda member: member.size)
    content[largest.offset_data + largest.size // 2] ^= 1
    damaged.write_bytes(content)
    try:
        done = command_line("restore", str(damaged))
        assert done.code == 1
        assert "is not what it was. Nothing was changed." in done.document["error"]
        assert {path.name for path in command_line.home.iterdir()} == {"postgresql"}
        assert sorted(_names(command_line)) == ["postgres", "template0", "template1"]
    finally:
        command_line("stop")


@pytest.mark.parametrize(
    ("old", "new", "refusal"),
    [
        (
            '"zenml": "0.98.0"',
            '"zenml": "9.98.0"',
            "made with zenml 9.98.0; 0.98.0, which is here, cannot read it",
        ),
        ('"postgresql": "18"', '"postgresql": "99"', "Restore it where postgresql is 99 or newer"),
        ('"format": 1', '"format": 7', "has format 7"),
    ],
)
def test_a_backup_of_a_later_version_is_refused_by_its_number(
    saved: Done, elsewhere: CommandLine, tmp_path: Path, old: str, new: str, refusal: str
) -> None:
    later = tmp_path / "later.tar"
    content = Path(saved.document["file"]).read_bytes()
    assert old.encode() in content
    later.write_bytes(content.replace(old.encode(), new.encode()))
    done = elsewhere("restore", str(later), "--replace")
    assert done.code == 2
    assert refusal in done.document["error"]


def test_a_backup_of_another_mlflow_is_refused(saved: Done, elsewhere: CommandLine, tmp_path: Path) -> None:
    other = tmp_path / "other.tar"
    shutil.copy(saved.document["file"], other)
    with tarfile.open(other) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
    revision = manifest["databases"]["mlflow"]["revision"]
    other.write_bytes(other.read_bytes().replace(revision.encode(), b"0" * len(revision)))
    done = elsewhere("restore", str(other), "--replace")
    assert done.code == 2
    assert "whose tables are of revision 000" in done.document["error"]


def test_a_disk_that_is_full_gives_a_clear_word_and_leaves_nothing(
    modelyard: CommandLine, tmp_path: Path
) -> None:
    """The limit on the size of files stands for it: writing fails in the same way at the same place."""
    done = subprocess.run(
        [sys.executable, "run.py", "backup", str(tmp_path / "backup.tar")],
        cwd=PROJECT,
        env=modelyard.environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000)),
    )
    assert done.returncode == 1
    assert f"{tmp_path / 'backup.tar'} cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def _killed_when(reached: Callable[[], Any], command_line: CommandLine, *arguments: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "run.py", *arguments],
        cwd=PROJECT,
        env=command_line.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + SECONDS
    while not reached():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def _urls(command_line: CommandLine) -> dict[str, str]:
    return {name: command_line.url(name) for name in databases.NAMES}


def _names(command_line: CommandLine) -> list[str]:
    """Databases of its server; none while that doesn't run."""
    if not (command_line.home / "postgresql" / "port").exists():
        return []
    return [name for (name,) in rows(command_line.url("postgres"), "SELECT datname FROM pg_database")]
