"""What nothing needs goes; champions, released versions and what made them stay."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import psycopg2
import pytest

from console import upkeep_reports
from settings import PROJECT
from tests.integration.command_line import CommandLine, Done, read
from tests.integration.postgresql.servers import free_port, rows

OLD = 2 * 24 * 3600
"""Seconds; files that nothing names go after a day."""
# MLflow leaves an empty row, so that the number is not given to another version.
_VERSIONS = "SELECT version FROM model_versions WHERE current_stage <> 'Deleted_Internal' ORDER BY version"


@pytest.fixture(scope="module")
def modelyard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """Version 2 is champion and serves, 3 was released between, 1 and 4 never were, 5 is the newest."""
    command_line = CommandLine(tmp_path_factory.mktemp("gc") / "home", free_port())
    # Whose data steps the others take from the cache; the next model takes its place.
    assert command_line("train", "titanic", "--candidates", "baseline").document["champion"] == 1
    for seed in (1, 2, 3, 4):
        assert command_line("train", "titanic", "--seed", str(seed)).document["champion"] == 2
    for version in (2, 3, 2):
        assert command_line("release", "titanic", "--version", str(version)).code == 0
    for _ in range(2):
        assert command_line("example_pipeline").code == 0
    yield command_line
    command_line("stop")


@pytest.fixture(scope="module")
def leftovers(modelyard: CommandLine) -> dict[str, Path]:
    """Files that no row names: one of today, one that a killed step left two days ago."""
    folder = modelyard.home / "artifacts" / "split" / "train"
    paths = {name: folder / name / "data.parquet" for name in ("young", "old")}
    for path in paths.values():
        path.parent.mkdir()
        path.write_bytes(b"rows")
    stat = paths["old"].stat()
    os.utime(paths["old"], (stat.st_atime - OLD, stat.st_mtime - OLD))
    return paths


@pytest.fixture(scope="module")
def own(modelyard: CommandLine) -> str:
    """What a person noted, saved and deleted with the tools themselves; the id of an MLflow run."""
    script = (
        "from settings import Settings; from stacks import session\n"
        "databases = session.open_stack(Settings(), 'local').databases; session.open_tracking(databases)\n"
        "import mlflow, zenml\n"
        "zenml.save_artifact('mine', name='saved by hand')\n"
        "with mlflow.start_run(run_name='noted by hand') as run: mlflow.log_text('mine', 'note.txt')\n"
        "client = mlflow.MlflowClient(); client.delete_run(client.get_model_version('titanic', '4').run_id)\n"
        "print(run.info.run_id)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        env=modelyard.environment | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()[-1]


@pytest.fixture(scope="module")
def logged(modelyard: CommandLine) -> None:
    """A partition of predictions of long ago, and one of today."""
    for day in ("'2025-01-31'", "current_date"):
        rows(modelyard.url("modelyard"), f"SELECT prediction_partition({day})")


@pytest.fixture(scope="module")
def told(modelyard: CommandLine, leftovers: dict[str, Path], own: str, logged: None) -> Done:
    """What would be freed."""
    return modelyard("gc", "--keep", "1", "--dry-run")


@pytest.fixture(scope="module")
def freed(modelyard: CommandLine, told: Done) -> Done:
    return modelyard("gc", "--keep", "1")


def test_a_dry_run_says_all_and_changes_nothing(modelyard: CommandLine, told: Done) -> None:
    assert told.code == 0, told.stderr
    assert told.document["versions"] == ["titanic 4", "titanic 1"]
    assert told.document["bentos"] == [_bento(modelyard, 3)]
    pipelines = [name.rsplit("-", 2)[0] for name in told.document["runs"]]
    assert pipelines == ["example_pipeline", "release_titanic", "release_titanic", "train_titanic"]
    assert told.document["bytes"] > 100_000
    assert all(Path(path).exists() for path in told.document["paths"])
    assert "Would free" in read(upkeep_reports.collected, told)


def test_what_was_told_is_what_is_freed(told: Done, freed: Done) -> None:
    assert freed.code == 0, freed.stderr
    assert freed.document | {"dry_run": True} == told.document
    assert not any(Path(path).exists() for path in freed.document["paths"])
    assert "Freed" in read(upkeep_reports.collected, freed)


def test_days_of_predictions_that_are_too_old_go(modelyard: CommandLine, freed: Done) -> None:
    assert freed.document["prediction_days"] == ["2025-01-31"]
    left = rows(
        modelyard.url("modelyard"),
        "SELECT count(*) FROM pg_inherits WHERE inhparent = 'predictions'::regclass",
    )
    assert left == [(1,)]


def test_why_a_version_stays_is_said(freed: Done) -> None:
    assert freed.document["stays"] == {
        "titanic 2": "champion",
        "titanic 3": "released",
        "titanic 5": "challenger",
    }


def test_the_run_whose_cached_steps_the_champion_was_made_with_stays(
    modelyard: CommandLine, freed: Done
) -> None:
    query = 'SELECT "index" FROM pipeline_run WHERE name LIKE \'train%%\' ORDER BY "index"'
    assert rows(modelyard.url("zenml"), query) == [(1,), (2,), (3,), (5,)]
    uncached = "SELECT count(*) FROM step_run WHERE status = 'cached' AND original_step_run_id IS NULL"
    assert rows(modelyard.url("zenml"), uncached) == [(0,)]


def test_the_endpoint_goes_on_and_the_champion_can_be_reproduced(modelyard: CommandLine, freed: Done) -> None:
    state = modelyard("status").document["use_cases"][1]
    assert state["endpoint"]["ready"]
    assert modelyard("reproduce", "titanic", "2").document["equal"]


def test_a_superseded_release_can_be_released_again(modelyard: CommandLine, freed: Done) -> None:
    bentos = modelyard.home / "bentoml" / "bentos" / "titanic"
    [only] = [path.name for path in bentos.iterdir() if path.is_dir()]
    assert (bentos / "latest").read_text() == only
    assert modelyard("release", "titanic", "--version", "3").code == 0
    assert modelyard("release", "titanic", "--version", "2").code == 0


def test_everything_that_is_still_named_is_there(modelyard: CommandLine, freed: Done) -> None:
    uris = rows(modelyard.url("zenml"), "SELECT uri FROM artifact_version")
    uris += rows(modelyard.url("mlflow"), "SELECT artifact_location FROM logged_models")
    assert len(uris) > 30
    assert [uri for (uri,) in uris if not Path(uri).exists()] == []


def test_nothing_of_what_went_is_left_in_either_store(modelyard: CommandLine, freed: Done) -> None:
    runs = {name for (name,) in rows(modelyard.url("zenml"), "SELECT name FROM pipeline_run")}
    assert runs.isdisjoint(freed.document["runs"])
    query = "SELECT count(*) FROM runs WHERE name = ANY(%s)"
    assert rows(modelyard.url("mlflow"), query, freed.document["runs"]) == [(0,)]
    versions = rows(modelyard.url("mlflow"), _VERSIONS)
    assert versions == [(2,), (3,), (5,)]
    unlinked = """
        SELECT count(*) FROM artifact_version v WHERE save_type = 'step_output'
        AND NOT EXISTS (SELECT FROM step_run_output_artifact o WHERE o.artifact_id = v.id)
    """
    assert rows(modelyard.url("zenml"), unlinked) == [(0,)]


def test_what_a_killed_step_left_goes_and_what_may_be_at_work_stays(
    freed: Done, leftovers: dict[str, Path]
) -> None:
    assert leftovers["young"].exists()
    assert not leftovers["old"].parent.exists()


def test_what_a_person_saved_by_hand_stays(modelyard: CommandLine, own: str, freed: Done) -> None:
    assert rows(modelyard.url("zenml"), "SELECT count(*) FROM artifact WHERE name = 'saved by hand'") == [
        (1,)
    ]
    [(folder,)] = rows(modelyard.url("mlflow"), "SELECT artifact_uri FROM runs WHERE run_uuid = %s", own)
    assert Path(folder, "note.txt").read_text() == "mine"


def test_an_age_keeps_all_that_is_younger(modelyard: CommandLine, freed: Done) -> None:
    done = modelyard("gc", "--keep", "1h")
    assert done.code == 0, done.stderr
    assert not any(done.document[kind] for kind in ("runs", "versions", "bentos", "paths"))


def test_nothing_is_freed_while_a_training_goes_on(modelyard: CommandLine, freed: Done) -> None:
    connection = psycopg2.connect(modelyard.url("modelyard"))
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", (crc32(b"train titanic"),))
        done = modelyard("gc", "--keep", "0")
    finally:
        connection.close()
    assert done.code == 4
    assert "Another process is at it: train titanic" in done.document["error"]
    assert modelyard("status").document["use_cases"][1]["champion"] == 2


def test_even_when_nothing_is_to_be_kept_the_champion_stays(modelyard: CommandLine, freed: Done) -> None:
    done = modelyard("gc", "--keep", "0")
    assert set(done.document["stays"]) == {"titanic 2", "titanic 3", "titanic 5"}
    assert modelyard("reproduce", "titanic", "2").document["equal"]
    assert modelyard("status").document["use_cases"][1]["endpoint"]["ready"]


def test_an_approved_version_waits_for_its_release(modelyard: CommandLine, freed: Done) -> None:
    assert modelyard("train", "titanic", "--candidates", "baseline", "--seed", "5").document["version"] == 6
    assert modelyard("gc", "--keep", "1", "--dry-run").document["versions"] == ["titanic 5"]
    assert modelyard("approve", "titanic", "5").code == 0
    told = modelyard("gc", "--keep", "1", "--dry-run").document
    assert told["versions"] == []
    assert told["stays"]["titanic 5"] == "approved"


def _bento(modelyard: CommandLine, version: int) -> str:
    query = "SELECT DISTINCT bento FROM releases WHERE model_version = %s"
    [(tag,)] = rows(modelyard.url("modelyard"), query, version)
    return str(tag)
