"""Releases that wait for an approval, and what `history --verify` sees, by the command line alone."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from console import audit
from tests.integration.command_line import CommandLine, Done, read
from tests.integration.postgresql.servers import rows

WHO = f"{getpass.getuser()}@{socket.gethostname()}"


@pytest.fixture(scope="module")
def modelyard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """Where releases need an approval, with two versions of a model."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    home = tmp_path_factory.mktemp("audit trail") / "home"
    command_line = CommandLine(home, port, MODELYARD_REQUIRE_APPROVAL="true")
    for seed in ("1", "2"):
        trained = command_line("train", "titanic", "--candidates", "logistic", "--seed", seed)
        assert trained.document["version"] == int(seed), trained.stderr
    yield command_line
    command_line("stop")


@pytest.fixture(scope="module")
def released(modelyard: CommandLine) -> Done:
    """The first version, approved and released."""
    approved = modelyard("approve", "titanic", "1", "--note", "read its card")
    assert approved.code == 0, approved.stderr
    assert f"{WHO} approved titanic version 1" in read(audit.approved, approved)
    done = modelyard("release", "titanic", "--version", "1")
    assert done.code == 0, done.stderr
    return done


def test_what_nobody_approved_is_refused_before_anything_is_started(modelyard: CommandLine) -> None:
    refused = modelyard("release", "titanic", "--version", "2")
    assert refused.code == 3
    assert refused.document["error"].startswith("Version 2 of titanic was not approved, and is not released.")
    assert "python run.py approve titanic 2" in refused.document["error"]
    assert [row["model_version"] for row in modelyard("history", "titanic").document["releases"]] in ([], [1])
    assert "release_titanic" not in modelyard.tool("zenml", "pipeline", "runs", "list")


def test_a_version_that_is_not_there_cannot_be_approved(modelyard: CommandLine) -> None:
    refused = modelyard("approve", "titanic", "99")
    assert refused.code == 1
    assert "titanic has no version 99" in refused.document["error"]


def test_an_approved_version_is_released_with_evidence_of_what_it_is(
    modelyard: CommandLine, released: Done
) -> None:
    (row,) = modelyard("history", "titanic").document["releases"]
    evidence = row["evidence"]
    assert evidence["approved_by"] == WHO
    assert evidence["candidate"] == "logistic"
    assert {verdict["gate"] for verdict in evidence["judgement"]["verdicts"]} == {"bound", "slices"}
    digests = (evidence["model"], evidence["bento"], evidence["code"], evidence["lock"])
    assert [len(digest) for digest in digests] == [64] * 4
    verified = modelyard("history", "titanic", "--verify")
    assert verified.code == 0, verified.document
    text = read(audit.report, verified)
    assert "The audit trail is unbroken" in text
    assert f"Release {row['id']}, version 1, serving: ok" in text
    assert "modelyard is a superuser" in text


def test_using_the_registered_model_changes_nothing(
    modelyard: CommandLine, released: Done, tmp_path: Path
) -> None:
    modelyard.tool("mlflow", "artifacts", "download", "-u", "models:/titanic/1", "-d", str(tmp_path))
    (model,) = modelyard.home.glob("bentoml/bentos/titanic/1-*/src/usecases/__init__.py")
    compiled = model.parent / "__pycache__" / "__init__.cpython-314.pyc"
    compiled.parent.mkdir(exist_ok=True)
    compiled.touch()
    _model(modelyard, 1).with_name("registered_model_meta").write_text("model_name: titanic\n")
    assert modelyard("history", "titanic", "--verify").code == 0


def test_other_files_than_those_that_were_approved_are_refused_and_found(
    modelyard: CommandLine, released: Done
) -> None:
    modelyard("approve", "titanic", "2")
    with _changed(_model(modelyard, 2)):
        refused = modelyard("release", "titanic", "--version", "2")
    assert refused.code == 3
    assert f"are not those that {WHO} approved" in refused.document["error"]

    with _changed(_model(modelyard, 1)):
        broken = modelyard("history", "titanic", "--verify")
    assert broken.code == 1
    (problem,) = broken.document["releases"][0]["problems"]
    assert problem.startswith("model: ")
    assert modelyard("history", "titanic", "--verify").code == 0


def test_a_bento_that_was_changed_is_found(modelyard: CommandLine, released: Done) -> None:
    (model,) = modelyard.home.glob("bentoml/bentos/titanic/1-*/src/model/model.json")
    with _changed(model):
        broken = modelyard("history", "titanic", "--verify")
    assert broken.code == 1
    assert "bento: the files of titanic:1-" in read(audit.report, broken)


def test_what_served_before_needs_no_approval_any_more(modelyard: CommandLine, released: Done) -> None:
    second = modelyard("release", "titanic", "--version", "2")
    assert second.code == 0, second.stderr
    back = modelyard("rollback", "titanic")
    assert back.code == 0, back.stderr
    assert back.document["model_version"] == 1
    assert modelyard("history", "titanic", "--verify").code == 0


def test_a_row_that_was_changed_behind_the_triggers_is_found(modelyard: CommandLine, released: Done) -> None:
    url = modelyard.url("modelyard")
    kept = modelyard("history", "titanic", "--verify").document["newest"]
    unseen = "SET session_replication_role = 'replica'; UPDATE releases SET released_by = %s WHERE id = 1"
    rows(url, unseen, "another@somewhere")
    broken = modelyard("history", "titanic", "--verify", "--anchor", kept)
    assert broken.code == 1
    assert broken.document["problems"] == []
    assert f"released_by is another@somewhere, and was {WHO}" in read(audit.report, broken)
    rows(url, unseen, WHO)
    assert modelyard("history", "titanic", "--verify", "--anchor", kept).code == 0
    assert modelyard("history", "titanic", "--verify", "--anchor", "0" * 64).code == 1


def _model(modelyard: CommandLine, version: int) -> Path:
    """The file of a registered version that its model is in."""
    query = "SELECT source FROM model_versions WHERE name = 'titanic' AND version = %s"
    ((source,),) = rows(modelyard.url("mlflow"), query, version)
    folder = source.removeprefix("models:/")
    (file,) = modelyard.home.glob(f"artifacts/mlflow/*/models/{folder}/artifacts/*.skops")
    return file


@contextmanager
def _changed(file: Path) -> Iterator[None]:
    """One byte of a file is another meanwhile."""
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        yield
    finally:
        file.write_bytes(content)
