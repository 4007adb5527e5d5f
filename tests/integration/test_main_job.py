"""The whole way, by the command line alone, as a person walks it: one home folder, test after test."""

from __future__ import annotations

import getpass
import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

import usecases
from console import reports
from settings import PROJECT
from tests.integration.command_line import CommandLine, Done, read
from usecases.titanic import example


@pytest.fixture(scope="module")
def modelyard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command_line = CommandLine(tmp_path_factory.mktemp("main job") / "home", port)
    yield command_line
    command_line("stop")


@pytest.fixture(scope="module")
def first(modelyard: CommandLine) -> Done:
    """The main job on a machine where nothing was before."""
    return modelyard()


def test_from_nothing_to_an_endpoint_that_answers(first: Done) -> None:
    assert first.code == 0, first.stderr
    training, released = first.document["training"], first.document["release"]
    assert training["rows"]["read"] == 22_025
    assert training["rows"]["kept"] == 22_025 - sum(training["rows"]["dropped"].values())
    assert {candidate["candidate"] for candidate in training["candidates"]} == {
        "baseline",
        "ridge",
        "gradient_boosting",
    }
    assert training["promoted"]
    assert released["verified"] > 1_000
    assert 5 < first.document["answer"]["response"]["duration_minutes"] < 40
    assert "release: roll_out" in [stage["stage"] for stage in first.document["stages"]]


def test_what_a_person_reads_of_it(first: Done) -> None:
    text = read(reports.main_job, first)
    assert "Rows read 22,025, kept 21,167" in text
    assert "636 shorter than 1 minute, 222 longer than 60 minutes" in text
    assert re.search(r"gradient_boosting +4\.\d{3}", text)
    assert "New champion: version 1 (gradient_boosting), the first one." in text
    assert first.document["answer"]["curl"] in text
    assert re.search(r"release: roll_out +\d+\.\d", text)
    assert "python run.py reproduce taxi 1" in text


def test_the_printed_curl_line_works_as_it_is(first: Done) -> None:
    answer = first.document["answer"]
    done = subprocess.run(["sh", "-c", answer["curl"]], capture_output=True, check=True)  # noqa: S607
    assert json.loads(done.stdout) == answer["response"]


def test_the_second_time_the_champion_stands_and_nothing_is_restarted(
    modelyard: CommandLine, first: Done
) -> None:
    pid = _endpoint(modelyard, "taxi")["pid"]
    second = modelyard()
    assert second.code == 0, second.stderr
    assert second.document["training"]["champion_stands"]
    assert not second.document["release"]["changed"]
    assert _endpoint(modelyard, "taxi")["pid"] == pid
    cached = {stage["stage"] for stage in second.document["stages"] if stage["cached"]}
    assert {"train: ingest", "train: split", "train: compete_gradient_boosting", "train: select"} <= cached
    text = read(reports.main_job, second)
    assert "The champion stands: version 1" in text
    assert "nothing restarted" in text


def test_the_champion_has_a_card(modelyard: CommandLine, first: Done) -> None:
    card = modelyard("card", "taxi").document
    assert card["version"] == 1
    assert card["card"].startswith("# Duration of a New York green taxi trip: model version 1\n")
    rmse = first.document["training"]["score"]
    assert f"| **all rows** | 10,294 | {rmse:.4g} |" in card["card"]


def test_a_version_trained_again_predicts_the_same_bits(modelyard: CommandLine, first: Done) -> None:
    done = modelyard("reproduce", "taxi", "1")
    assert done.code == 0, done.stderr
    assert done.document["equal"]
    assert done.document["differences"] == []
    assert "10,294 validation rows are equal bit for bit" in read(reports.reproduction, done)


def test_a_model_that_fails_a_gate_is_registered_and_not_promoted(
    modelyard: CommandLine, first: Done
) -> None:
    done = modelyard("train", "taxi", "--candidates", "baseline")
    assert done.code == 3, done.stderr
    assert [gate["gate"] for gate in done.document["gates"] if not gate["passed"]]
    assert done.document["version"] == 2
    assert done.document["champion"] == 1
    text = read(reports.training, done)
    assert re.search(r"bound +not passed", text)
    assert (
        "Version 2 is registered, not promoted: a gate was not passed; the champion is still version 1"
        in text
    )


def test_one_request_through_the_endpoint(modelyard: CommandLine, first: Done) -> None:
    request = dict(usecases.load("taxi").example)
    done = modelyard("predict", "taxi", json.dumps(request))
    assert done.document["response"] == first.document["answer"]["response"]
    refused = modelyard("predict", "taxi", json.dumps(request | {"PULocationID": 266, "colour": "red"}))
    assert refused.code == 1
    assert "PULocationID" in refused.document["error"]
    assert "colour" in refused.document["error"]
    unread = modelyard("predict", "taxi", "{")
    assert unread.code == 2
    assert "not JSON" in unread.document["error"]


def test_every_row_of_a_file_through_the_endpoint(
    modelyard: CommandLine, first: Done, tmp_path: Path
) -> None:
    trips = pd.read_parquet(PROJECT / "usecases/taxi/sample/green_tripdata_sample.parquet").head(2_000)
    for file in (tmp_path / "trips.parquet", tmp_path / "trips.csv"):
        trips.to_parquet(file) if file.suffix == ".parquet" else trips.to_csv(file, index=False)
        done = modelyard("predict", "taxi", "--file", str(file))
        assert done.code == 0, done.stderr
        written = Path(done.document["file"])
        answers = pd.read_parquet(written) if file.suffix == ".parquet" else pd.read_csv(written)
        refused = {int(row) for row in done.document["refused"]}
        assert set(trips.index[trips["trip_distance"] > 100]) == refused
        assert len(answers) == len(trips)
        assert set(answers.index[answers["duration_minutes"].isna()]) == refused
        assert "Wrote 2,000 rows with their predictions" in read(reports.predictions, done)


def test_a_second_use_case_goes_the_same_way(modelyard: CommandLine, first: Done) -> None:
    trained = modelyard("train", "titanic")
    assert trained.code == 0, trained.stderr
    released = modelyard("release", "titanic", "--version", "1")
    assert released.code == 0, released.stderr
    taxi, titanic = _endpoint(modelyard, "taxi"), _endpoint(modelyard, "titanic")
    assert titanic["ready"]
    assert taxi["ready"]
    assert titanic["address"] != taxi["address"]
    text = read(reports.status, modelyard("status"))
    assert re.search(rf"taxi +version 1 .*{taxi['address']} +version 1 +ready", text)
    assert "titanic version 1 now serves" in read(reports.release, released)


def test_every_release_is_in_the_history_with_its_reason(modelyard: CommandLine, first: Done) -> None:
    champions, asked = modelyard("history", "taxi"), modelyard("history", "titanic")
    (champion,), (one,) = champions.document["releases"], asked.document["releases"]
    assert (champion["status"], champion["why"]) == ("serving", "champion")
    assert champion["bento"] == first.document["release"]["bento"]
    assert champion["zenml_run"] == first.document["release"]["run"]
    assert one["why"] == "version 1 was asked for"
    assert one["released_by"] == f"{getpass.getuser()}@{socket.gethostname()}"
    line = rf"{champion['id']} .* 1 +serving +champion +.*{champion['bento']} +{champion['zenml_run']}"
    assert re.search(line, read(reports.history, champions))


def test_reproduce_says_which_data_changed(modelyard: CommandLine, tmp_path: Path) -> None:
    passengers = tmp_path / "passengers.csv"
    shutil.copy(example.LIST, passengers)
    version = modelyard("train", "titanic", "--source", str(passengers)).document["version"]
    lines = passengers.read_text().splitlines(keepends=True)
    passengers.write_text("".join(lines[:-50]))
    done = modelyard("reproduce", "titanic", str(version))
    assert done.code == 1
    assert not done.document["equal"]
    assert any(line.startswith("data: passengers.csv was ") for line in done.document["differences"])
    assert "Not reproduced" in read(reports.reproduction, done)


def test_data_that_break_the_schema_are_refused_and_nothing_changes(
    modelyard: CommandLine, first: Done, tmp_path: Path
) -> None:
    champion = _status(modelyard, "titanic")["champion"]
    passengers = pd.read_csv(example.LIST)
    passengers.loc[3, "Pclass"] = 9
    passengers.to_csv(tmp_path / "passengers.csv", index=False)
    done = modelyard("train", "titanic", "--source", str(tmp_path / "passengers.csv"))
    assert done.code == 1
    assert "Pclass" in done.document["error"]
    assert _status(modelyard, "titanic")["champion"] == champion


def test_asking_for_what_is_not_there_says_what_is(modelyard: CommandLine, first: Done) -> None:
    no_version = modelyard("release", "taxi", "--version", "99")
    assert no_version.code == 1
    assert "there are: 1, 2" in no_version.document["error"]
    no_use_case = modelyard("train", "boats")
    assert no_use_case.code == 2
    assert "taxi, titanic" in no_use_case.document["error"]
    no_stack = modelyard("train", "taxi", "--stack", "moon")
    assert no_stack.code == 2
    assert "local" in no_stack.document["error"]


def test_two_trainings_of_one_use_case_take_turns(modelyard: CommandLine, first: Done) -> None:
    one = subprocess.Popen(
        [sys.executable, "run.py", "train", "titanic", "--seed", "7", "--json"],
        cwd=PROJECT,
        env=modelyard.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    other = modelyard("train", "titanic", "--seed", "8")
    stdout, _ = one.communicate()
    outcomes = [(one.returncode, json.loads(stdout)), (other.code, other.document)]
    # A seed may draw rows on which a gate is not passed: that is a training, too.
    assert [code for code, _ in outcomes if code in {0, 3}], outcomes
    errors = [document["error"] for _, document in outcomes if "error" in document]
    assert all("Another process is at it: train titanic" in error for error in errors)


def test_the_two_tools_own_command_lines_work_on_the_projects_stores(
    modelyard: CommandLine, first: Done
) -> None:
    runs = modelyard.tool("zenml", "pipeline", "runs", "list", "--output", "json")
    assert "train_taxi" in runs
    assert "train_taxi" in modelyard.tool("mlflow", "experiments", "search")
    shown = modelyard("stack", "show")
    assert re.search(r"experiment_tracker +local-mlflow +mlflow", read(reports.stack_shown, shown))


def test_the_hello_world_leaves_a_csv_and_a_run(modelyard: CommandLine) -> None:
    done = modelyard("example_pipeline")
    assert done.code == 0, done.stderr
    rows = pd.read_csv(done.document["file"])
    assert rows.shape == (891, 6)
    assert not rows.isna().any().any()
    assert done.document["file"] in read(reports.example, done)


def test_stop_stops_everything_and_status_says_so(modelyard: CommandLine, first: Done) -> None:
    endpoint = _endpoint(modelyard, "taxi")
    done = modelyard("stop")
    assert sorted(done.document["endpoints"]) == ["taxi", "titanic"]
    assert done.document["postgresql"]
    assert "Endpoints stopped: taxi, titanic." in read(reports.stopped, done)
    assert not psutil.pid_exists(endpoint["pid"])
    nothing = modelyard("status")
    assert nothing.document["postgresql"] is None
    assert "Start with: python run.py" in read(reports.status, nothing)
    assert "Start with: python run.py" in read(reports.history, modelyard("history", "taxi"))


def _status(modelyard: CommandLine, use_case: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = modelyard("status").document["use_cases"]
    return next(row for row in rows if row["use_case"] == use_case)


def _endpoint(modelyard: CommandLine, use_case: str) -> dict[str, Any]:
    endpoint: dict[str, Any] = _status(modelyard, use_case)["endpoint"]
    return endpoint
