"""Data in and out of a cluster's platform, by pods of which these alone reach PostgreSQL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks.kubernetes.orchestrator import DATABASE
from tests.integration.command_line import CommandLine
from tests.kubernetes.cluster import Platform, logged, wait_for

STACK = ("--stack", "kubernetes")
DAYS = "SELECT DISTINCT (at AT TIME ZONE 'UTC')::date AS day FROM predictions WHERE use_case = 'titanic'"
COUNT = "SELECT count(*) AS rows FROM ingested.titanic"


@pytest.fixture(scope="module")
def loaded(run: CommandLine) -> dict[str, Any]:
    """What a first load brought."""
    done = run(*STACK, "ingest", "titanic", "--from", "sample")
    assert done.code == 0, done
    return done.document


def written(file: Path, **content: Any) -> str:
    file.write_text(yaml.safe_dump(content))
    return str(file)


def rows(platform: Platform) -> int:
    ((found),) = logged(platform, COUNT)
    return int(found["rows"])


def test_a_source_of_the_project_is_loaded_once(
    run: CommandLine, platform: Platform, loaded: dict[str, Any]
) -> None:
    assert (loaded["loaded"], loaded["rows"]) == (True, 891)
    again = run(*STACK, "ingest", "titanic", "--from", "sample")
    assert (again.code, again.document["loaded"]) == (0, False)
    assert rows(platform) == 891
    (source,) = run(*STACK, "sources", "titanic").document["sources"]
    assert (source["source"], source["batches"], source["rows"]) == ("sample", 1, 891)


@pytest.mark.usefixtures("loaded")
def test_a_source_described_on_a_laptop_has_its_password_in_the_platforms_store(
    run: CommandLine, platform: Platform, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps({"value": platform.secret("ingestion-database")["password"]}))
    run.tool(*STACK, "zenml", "secret", "create", "copy", f"--values=@{secret}")
    source = written(
        tmp_path / "copy.yaml",
        kind="sql",
        url=f"postgresql://modelyard_ingestion@{platform.release}-postgresql.{platform.namespace}.svc/modelyard",
        password="copy",
        query='SELECT *, "PassengerId" + 10000 AS id FROM ingested.titanic WHERE "PassengerId" <= 100',
        columns={"PassengerId": "id"},
        cursor={"column": "id"},
    )
    done = run(*STACK, "ingest", "titanic", "--from", source)
    assert (done.code, done.document.get("rows"), done.document.get("rejected")) == (0, 100, 0), done
    assert rows(platform) == 991


@pytest.mark.usefixtures("loaded")
def test_a_training_learns_from_what_was_loaded(run: CommandLine) -> None:
    done = run(*STACK, "train", "titanic", "--source", "ingested", "--candidates", "logistic")
    assert done.code == 0, done
    assert done.document["rows"]["read"] >= 891


def test_what_pods_cannot_reach_is_refused_before_any_runs(run: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "here.csv").write_text("a\n1\n")
    source = written(tmp_path / "here.yaml", kind="files", path="here.csv")
    done = run(*STACK, "ingest", "titanic", "--from", source)
    assert done.code == 2
    assert "on this machine, which pods do not see" in done.document["error"]
    sink = written(tmp_path / "out.yaml", what="predictions", to={"kind": "files", "path": "out"})
    done = run(*STACK, "export", "titanic", "--to", sink)
    assert done.code == 2
    assert "name one on S3" in done.document["error"]


@pytest.mark.usefixtures("loaded")
def test_a_cluster_loads_and_exports_by_itself(run: CommandLine, platform: Platform, tmp_path: Path) -> None:
    day = "2026-01-31"
    logged(platform, f"SELECT prediction_partition('{day}')")
    row = f"('titanic', 'exported', 0, '{day}T12:00Z', 1, '{{}}', '{{}}', 0.1)"
    columns = "use_case, request_id, row, at, model_version, inputs, output, seconds"
    insert = f"WITH made AS (INSERT INTO predictions ({columns}) VALUES {row} RETURNING 1) TABLE made"
    platform.kubectl(
        "exec", f"{platform.release}-postgresql-0", "--",
        "psql", "--username=postgres", "--dbname=modelyard", f"--command={insert}",
    )  # fmt: skip
    sink = written(
        tmp_path / "lake.yaml", what="predictions", to={"kind": "files", "path": "s3://modelyard/lake"}
    )
    every_minute = ("--cron", "* * * * *")
    for line in (("ingest", "titanic", "--from", "sample"), ("export", "titanic", "--to", sink)):
        assert run(*STACK, *line, *every_minute).code == 0

    def ended() -> list[dict[str, Any]]:
        found = run(*STACK, "schedules").document["schedules"]
        return found if len(found) == 2 and all(each["status"] == "completed" for each in found) else []

    found = wait_for(ended, "a run of each schedule that has ended", seconds=240, pause=2)
    assert {(each["what"], each["place"]) for each in found} == {("ingest", "sample"), ("export", "lake")}
    labels = [
        pod["metadata"]["labels"]
        for pod in platform.get("pods", f"--selector={DATABASE}=true", namespace=platform.pipelines)
    ]
    assert {each["step_name"] for each in labels} == {"load", "export"}
    assert run(*STACK, "unschedule", "titanic", "--from", "sample").code == 0
    assert run(*STACK, "unschedule", "titanic", "--to", "lake").code == 0
    assert platform.get("cronjobs", namespace=platform.pipelines) == []
    again = run(*STACK, "export", "titanic", "--to", sink).document
    # Endpoints of tests before this one may have logged on other days.
    assert (again["days"], again["there"]) == ({}, len(logged(platform, DAYS))), again


def test_a_laptop_says_who_keeps_schedules(run: CommandLine) -> None:
    done = run("--stack", "local", "ingest", "titanic", "--from", "sample", "--cron", "0 * * * *")
    run("stop")
    assert done.code == 2
    assert "your machine's cron" in done.document["error"]
