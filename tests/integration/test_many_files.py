"""A training on many data files, a step for each: by the command line, on the sample split into files."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from console import reports
from settings import PROJECT
from tests.integration.command_line import CommandLine, Done, read
from tests.splitting import split_sample
from usecases.taxi import sources

QUICK = ("--candidates", "baseline,ridge")


@pytest.fixture(scope="module")
def modelyard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command_line = CommandLine(tmp_path_factory.mktemp("many files") / "home", port)
    yield command_line
    command_line("stop")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return split_sample("taxi", 4, tmp_path_factory.mktemp("parts"))


@pytest.fixture(scope="module")
def one_by_one(modelyard: CommandLine, parts: list[Path]) -> Done:
    """A training on the sample as four files."""
    return train(modelyard, parts)


def test_each_file_gets_a_step_and_the_report_is_that_of_one_file(
    modelyard: CommandLine, one_by_one: Done
) -> None:
    assert one_by_one.code == 0, one_by_one.stderr
    ran = [stage["stage"] for stage in one_by_one.document["stages"]]
    assert {f"train: prepare_part_{part}" for part in range(4)} | {"train: gather"} <= set(ran)
    assert "train: ingest" not in ran
    text = read(reports.training, one_by_one)
    assert "Rows read 22,025, kept 21,167" in text
    assert "636 shorter than 1 minute, 222 longer than 60 minutes" in text


def test_every_number_and_prediction_is_that_of_one_file(modelyard: CommandLine, one_by_one: Done) -> None:
    together = train(modelyard, [sources.SAMPLE])
    assert "train: ingest" in [stage["stage"] for stage in together.document["stages"]]
    assert together.document["rows"] == one_by_one.document["rows"]
    assert scores(together) == scores(one_by_one)
    recorded = [pd.read_parquet(file) for file in modelyard.home.rglob("validation.parquet")]
    assert len(recorded) == 2
    assert recorded[0]["prediction"].to_numpy().tobytes() == recorded[1]["prediction"].to_numpy().tobytes()
    pd.testing.assert_frame_equal(*recorded, check_exact=True)


def test_one_file_more_is_the_only_one_that_is_read_wherever_the_others_lie_now(
    modelyard: CommandLine, one_by_one: Done, parts: list[Path], tmp_path: Path
) -> None:
    moved = [Path(shutil.copy(part, tmp_path)) for part in parts]
    new = tmp_path / "part_new.parquet"
    pd.read_parquet(parts[0]).head(100).to_parquet(new)
    done = train(modelyard, [*moved, new])
    cached = {stage["stage"]: stage["cached"] for stage in done.document["stages"]}
    assert all(cached[f"train: prepare_part_{part}"] for part in range(4))
    assert not cached["train: prepare_part_new"]
    assert done.document["rows"]["read"] == 22_125


def test_a_file_that_breaks_the_contract_is_named(
    modelyard: CommandLine, parts: list[Path], tmp_path: Path
) -> None:
    wrong = tmp_path / "part_1.parquet"
    pd.read_parquet(parts[1]).assign(PULocationID=999).to_parquet(wrong)
    done = train(modelyard, [parts[0], wrong, parts[2]])
    assert done.code == 1
    assert f"The data of {wrong} break the contract of taxi" in done.document["error"]
    assert "PULocationID: expected in_range" in done.document["error"]


def test_a_version_of_many_files_is_reproduced(modelyard: CommandLine, one_by_one: Done) -> None:
    done = modelyard("reproduce", "taxi", "1")
    assert done.code == 0, done.stderr
    assert done.document["equal"]
    assert "reproduce: prepare_part_3" in [stage["stage"] for stage in done.document["stages"]]


def test_steps_that_are_started_run_side_by_side_where_the_pipeline_runs_with_its_steps(
    modelyard: CommandLine, one_by_one: Done, tmp_path: Path
) -> None:
    met = dynamic(modelyard, "meeting", str(tmp_path))
    assert met["status"] == "completed"
    assert met["outputs"] == {
        "told.told": ["ann met 2", "bob met 2", "cat met 2"],
        "last.seen": ["ann", "bob", "cat", "dan"],
    }
    assert met["upstream"]["told"] == ["meet_ann", "meet_bob", "meet_cat"]
    assert "meet_dan" in met["upstream"]["last"]


@pytest.mark.parametrize("count", [1, 3])
def test_the_same_training_gives_the_same_numbers_where_the_pipeline_runs_with_its_steps(
    modelyard: CommandLine, one_by_one: Done, count: int, tmp_path: Path
) -> None:
    files = ",".join(map(str, split_sample("titanic", count, tmp_path)))
    here = modelyard("train", "titanic", "--source", files)
    # ZenML's tracker takes the whole process for one run of MLflow: one after the other, not side by side.
    there = dynamic(modelyard, "training", files, ZENML_DYNAMIC_PIPELINE_WORKER_COUNT="1")
    assert there["status"] == "completed"
    assert there["scores"] == scores(here)["candidates"]
    counted = "gather.rows" if count > 2 else "validate.rows"
    assert there["outputs"][counted] == here.document["rows"]["read"] == 891
    assert there["upstream"]["select"] == [
        "compete_baseline",
        "compete_gradient_boosting",
        "compete_logistic",
    ]
    assert there["upstream"]["split"] == ["gather" if count > 2 else "clean"]


def train(modelyard: CommandLine, files: list[Path]) -> Done:
    return modelyard("train", "taxi", "--source", ",".join(map(str, files)), *QUICK)


def scores(done: Done) -> dict[str, Any]:
    """Of every candidate, and of the winner in every slice."""
    slices = done.document["slices"]
    return {
        "candidates": {found["candidate"]: found["score"] for found in done.document["candidates"]},
        "slices": {name: {of: found["score"] for of, found in slices[name].items()} for name in slices},
    }


def dynamic(modelyard: CommandLine, *arguments: str, **settings: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.integration.dynamic", *arguments]
    environment = modelyard.environment | {"OMP_NUM_THREADS": "1"} | settings
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4_000:]
    document: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return document
