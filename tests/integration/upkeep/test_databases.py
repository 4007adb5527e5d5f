"""The platform's databases into its bucket and back, as its jobs do it, while its servers run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from db import databases
from db.session import advisory_lock
from settings import PROJECT
from stacks.bucket import Bucket
from tests import s3 as s3_server
from tests.integration.postgresql import servers
from upkeep.backup import LOCK

SECONDS = 120
LOGIN = ("default", "a password of the tests")
FILES = ["manifest.json", "mlflow.dump", "modelyard.dump", "zenml.dump"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    with servers.running(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="module")
def store(s3: str) -> Bucket:
    name = s3_server.make_bucket(s3).removeprefix("s3://")
    return Bucket(name, s3_server.client(s3))


@pytest.fixture(scope="module")
def environment(
    server: servers.Server, store: Bucket, s3: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """As a pod has it, of a platform that is migrated."""
    environment = {
        "PATH": os.environ["PATH"],
        "MODELYARD_HOME": str(tmp_path_factory.mktemp("home")),
        "MODELYARD_DATABASE_URL": server.url(),
        "MODELYARD_PASSWORD": LOGIN[1],
        "MODELYARD_ENCRYPTION_KEY": "e" * 64,
        "MODELYARD_SIGNING_KEY": "s" * 64,
        "MODELYARD_ARTIFACTS": f"s3://{store.name}",
        "MODELYARD_DASHBOARD_PORT": str(servers.free_port()),
        "MODELYARD_MLFLOW_PORT": str(servers.free_port()),
        **s3_server.environment(s3),
    }
    done = _run(environment, "stacks.platform.migrate")
    assert done.returncode == 0, done.stderr
    return environment


@pytest.fixture(autouse=True)
def empty(store: Bucket) -> Iterator[None]:
    yield
    for key in store.keys("backups/"):
        store.delete(key)


def test_a_backup_is_four_objects_which_are_listed_by_its_name(
    environment: dict[str, str], store: Bucket
) -> None:
    assert _run(environment, "upkeep.databases", "list").stdout == "There are no backups yet.\n"
    name = _save(environment)
    assert store.keys("backups/") == [f"backups/{name}/{file}" for file in FILES]
    listed = _run(environment, "upkeep.databases", "list").stdout
    assert listed.startswith(f"{name}: ")
    assert "rows" in listed


@pytest.mark.slow
def test_servers_go_on_with_what_was_restored_under_them(
    environment: dict[str, str], server: servers.Server
) -> None:
    zenml, mlflow = (
        f"http://127.0.0.1:{environment[f'MODELYARD_{name}_PORT']}" for name in ("DASHBOARD", "MLFLOW")
    )
    with _serving(environment, "zenml_server", zenml), _serving(environment, "mlflow_server", mlflow):
        _make_experiment(mlflow, "of before")
        _make_account(zenml, "of-before")
        name = _save(environment)
        _make_experiment(mlflow, "of afterwards")
        _make_account(zenml, "of-afterwards")

        done = _run(environment, "upkeep.databases", "restore", name)
        assert done.returncode == 0, done.stderr

        assert _experiments(mlflow) == {"Default", "of before"}
        assert _accounts(zenml) == {"of-before"}
        _make_experiment(mlflow, "of a new time")
        _make_account(zenml, "of-a-new-time")
        names = {name for (name,) in servers.rows(server.url(), "SELECT datname FROM pg_database")}
        assert names == {*databases.NAMES, "postgres", "template0", "template1"}


def test_a_damaged_backup_changes_nothing(
    environment: dict[str, str], server: servers.Server, store: Bucket
) -> None:
    name = _save(environment)
    _release(server, "of afterwards")
    key = f"backups/{name}/mlflow.dump"
    content = store.client.get_object(Bucket=store.name, Key=key)["Body"].read()
    for damaged in (content[:-100], content[:-1] + bytes([content[-1] ^ 1])):
        store.client.put_object(Bucket=store.name, Key=key, Body=damaged)
        done = _run(environment, "upkeep.databases", "restore", name)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
    store.delete(key)
    done = _run(environment, "upkeep.databases", "restore", name)
    assert f"The backup {name} is damaged: mlflow.dump is missing. Nothing was changed." in done.stderr
    assert "of afterwards" in _releases(server)
    names = {name for (name,) in servers.rows(server.url(), "SELECT datname FROM pg_database")}
    assert not any(name.endswith(("_restoring", "_replaced")) for name in names)


def test_only_the_newest_stay_and_what_killed_commands_left_goes(
    environment: dict[str, str], store: Bucket
) -> None:
    older = [f"2026-01-0{day}T00-00-00Z" for day in (1, 2, 3)]
    first = _save(environment)
    for name in older:
        for file in FILES:
            source = {"Bucket": store.name, "Key": f"backups/{first}/{file}"}
            store.client.copy_object(Bucket=store.name, Key=f"backups/{name}/{file}", CopySource=source)
    store.delete(f"backups/{older[2]}/manifest.json")
    store.client.create_multipart_upload(Bucket=store.name, Key="backups/killed/zenml.dump")
    listed = _run(environment, "upkeep.databases", "list").stdout
    assert [line.split(":")[0] for line in listed.splitlines()] == [*older[:2], first]

    last = _save(environment | {"MODELYARD_KEEP_BACKUPS": "3"})
    assert {key.split("/")[1] for key in store.keys("backups/")} == {older[1], first, last}
    assert "Uploads" not in store.client.list_multipart_uploads(Bucket=store.name)


def test_old_days_of_the_log_go_after_a_backup_and_what_is_restored_takes_new_ones(
    environment: dict[str, str], server: servers.Server
) -> None:
    url = server.url("modelyard")
    logging = environment | {
        "MODELYARD_PREDICTIONS_URL": "postgresql://modelyard_endpoint:secret@127.0.0.1/modelyard",
        "MODELYARD_KEEP_PREDICTIONS": "30",
    }
    assert _run(logging, "stacks.platform.migrate").returncode == 0
    for days in (29, 31):
        servers.rows(url, f"SELECT prediction_partition(current_date - {days})")
    days = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'public.predictions'::regclass"
    assert servers.rows(url, days) == [(2,)]
    name = _save(logging)
    assert servers.rows(url, days) == [(1,)]

    done = _run(logging, "upkeep.databases", "restore", name)
    assert done.returncode == 0, done.stderr
    assert servers.rows(url, days) == [(2,)]
    right = "SELECT has_table_privilege('modelyard_endpoint', 'predictions', 'INSERT')"
    assert servers.rows(url, right) == [(True,)]


def test_secrets_of_another_key_are_not_put_in_place(
    environment: dict[str, str], server: servers.Server
) -> None:
    name = _save(environment)
    done = _run(environment | {"MODELYARD_ENCRYPTION_KEY": "f" * 64}, "upkeep.databases", "restore", name)
    assert done.returncode == 2
    assert "MODELYARD_ENCRYPTION_KEY" in done.stderr
    assert f"e{'e' * 32}" not in done.stderr


def test_a_name_that_is_no_backups_is_answered_with_those_there_are(environment: dict[str, str]) -> None:
    name = _save(environment)
    done = _run(environment, "upkeep.databases", "restore", "yesterday")
    assert done.returncode == 2
    assert (
        f"There is no backup 'yesterday' in {environment['MODELYARD_ARTIFACTS'][5:]} at http" in done.stderr
    )
    assert name in done.stderr


def test_one_at_a_time(environment: dict[str, str], server: servers.Server) -> None:
    with advisory_lock(server.url(), LOCK):
        done = _run(environment, "upkeep.databases", "save")
    assert done.returncode == 4
    assert "Another process is at it: backup, restore or gc." in done.stderr


def test_without_a_bucket_it_says_what_saves_a_machine(environment: dict[str, str]) -> None:
    local = {name: value for name, value in environment.items() if name != "MODELYARD_ARTIFACTS"}
    done = _run(local, "upkeep.databases", "list")
    assert done.returncode == 2
    assert "python run.py backup FILE" in done.stderr


def test_a_bucket_that_does_not_answer_is_named_with_what_to_look_at(environment: dict[str, str]) -> None:
    away = environment | {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{servers.free_port()}"}
    done = _run(away, "upkeep.databases", "list")
    assert done.returncode == 1
    assert "Look at AWS_ENDPOINT_URL_S3" in done.stderr
    assert "Traceback" not in done.stderr


def _run(environment: dict[str, str], module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


def _save(environment: dict[str, str]) -> str:
    done = _run(environment, "upkeep.databases", "save")
    assert done.returncode == 0, done.stderr
    return done.stdout.removeprefix("Saved ").split(":")[0]


@contextmanager
def _serving(environment: dict[str, str], module: str, url: str) -> Iterator[None]:
    log = Path(environment["MODELYARD_HOME"], f"{module}.log")
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", f"stacks.platform.{module}"],
            cwd=PROJECT,
            env=environment,
            stdout=output,
            stderr=output,
        )
    try:
        _until(lambda: _status(f"{url}/ready") == 200, lambda: process.poll() is None)
        yield
    finally:
        process.terminate()
        process.wait(SECONDS)


def _status(url: str) -> int:
    try:
        return httpx.get(url, trust_env=False).status_code
    except httpx.TransportError:
        return 0


def _zenml(zenml: str) -> httpx.Client:
    data = {"username": LOGIN[0], "password": LOGIN[1]}
    token = httpx.post(f"{zenml}/api/v1/login", data=data).raise_for_status().json()["access_token"]
    return httpx.Client(base_url=zenml, headers={"Authorization": f"Bearer {token}"})


def _make_account(zenml: str, name: str) -> None:
    with _zenml(zenml) as client:
        client.post("/api/v1/service_accounts", json={"name": name, "active": True}).raise_for_status()


def _accounts(zenml: str) -> set[str]:
    with _zenml(zenml) as client:
        return {one["name"] for one in client.get("/api/v1/service_accounts").json()["items"]}


def _make_experiment(mlflow: str, name: str) -> None:
    url = f"{mlflow}/api/2.0/mlflow/experiments/create"
    httpx.post(url, json={"name": name}, auth=LOGIN).raise_for_status()


def _experiments(mlflow: str) -> set[str]:
    found = httpx.get(f"{mlflow}/api/2.0/mlflow/experiments/search?max_results=100", auth=LOGIN)
    return {one["name"] for one in found.json()["experiments"]}


def _release(server: servers.Server, by: str) -> None:
    servers.rows(
        server.url("modelyard"),
        "INSERT INTO releases (use_case, model_version, bento, target, status, released_by) "
        "VALUES ('taxi', 1, 'taxi:1', 'local', 'rolling_out', %s)",
        by,
    )


def _releases(server: servers.Server) -> list[str]:
    return [by for (by,) in servers.rows(server.url("modelyard"), "SELECT released_by FROM releases")]


def _until(condition: Callable[[], bool], going: Callable[[], bool] = lambda: True) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert going(), "It ended."
        assert time.monotonic() < deadline, "It did not come true in time."
        time.sleep(0.2)
