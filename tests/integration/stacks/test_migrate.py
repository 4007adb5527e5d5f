"""All that servers need is made by one command, however many run it, as soon as PostgreSQL and S3 answer."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from db import databases
from settings import PROJECT
from tests import s3 as s3_server
from tests.integration.postgresql import servers

PASSWORD = "a password of the tests"
MIGRATE = [sys.executable, "-m", "stacks.platform.migrate"]


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    with servers.running(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def environment(server: servers.Server, s3: str, tmp_path: Path) -> dict[str, str]:
    """As a pod has it: everything from outside, nothing kept in a folder."""
    return {
        "PATH": os.environ["PATH"],
        "MODELYARD_HOME": str(tmp_path / "home"),
        "MODELYARD_DATABASE_URL": server.url(),
        "MODELYARD_PASSWORD": PASSWORD,
        "MODELYARD_ENCRYPTION_KEY": "e" * 64,
        "MODELYARD_SIGNING_KEY": "s" * 64,
        "MODELYARD_ARTIFACTS": "s3://platform",
        "MODELYARD_MAKE_BUCKET": "true",
        **s3_server.environment(s3),
    }


@pytest.mark.slow
def test_two_at_once_make_it_all_and_a_third_changes_nothing(
    server: servers.Server, environment: dict[str, str], s3: str, tmp_path: Path
) -> None:
    homes = [{**environment, "MODELYARD_HOME": str(tmp_path / name)} for name in ("one", "other")]
    both = [subprocess.Popen(MIGRATE, cwd=PROJECT, env=home, stderr=subprocess.PIPE) for home in homes]
    for process in both:
        _, errors = process.communicate()
        assert process.returncode == 0, errors.decode()

    s3_server.client(s3).head_bucket(Bucket="platform")
    assert servers.rows(server.url("modelyard"), "SELECT count(*) FROM releases") == [(0,)]
    assert servers.rows(server.url("zenml"), 'SELECT name FROM "user"') == [("default",)]
    assert servers.rows(server.url("mlflow"), "SELECT username, is_admin FROM users") == [("default", True)]
    default = "SELECT artifact_location FROM experiments"
    assert servers.rows(server.url("mlflow"), default) == [("mlflow-artifacts:/0",)]
    assert not any(
        PASSWORD.encode() in path.read_bytes() for path in tmp_path.glob("*/**/*") if path.is_file()
    )

    before = _state(server)
    assert _migrate(environment).returncode == 0
    assert _state(server) == before


def test_it_waits_for_a_server_that_is_late(server: servers.Server, environment: dict[str, str]) -> None:
    server.stop()
    late = subprocess.Popen(MIGRATE, cwd=PROJECT, env=environment, stderr=subprocess.PIPE, text=True)
    assert late.stderr is not None
    assert "Waiting for PostgreSQL at 127.0.0.1" in late.stderr.readline()
    server.start()
    _, errors = late.communicate()
    assert late.returncode == 0, errors


def test_a_role_that_is_refused_is_told_at_once(server: servers.Server, environment: dict[str, str]) -> None:
    url = server.url().replace("tests@", "nobody@")
    began = time.monotonic()
    done = _migrate(environment | {"MODELYARD_DATABASE_URL": url})
    assert done.returncode == 1
    assert 'role "nobody" does not exist' in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - began < 30


def test_a_bucket_that_is_missing_is_made_only_when_asked_for(environment: dict[str, str]) -> None:
    done = _migrate(
        environment | {"MODELYARD_MAKE_BUCKET": "false", "MODELYARD_ARTIFACTS": "s3://another-one"}
    )
    assert done.returncode == 1
    assert "There is no bucket another-one at http://127.0.0.1" in done.stderr
    assert "MODELYARD_MAKE_BUCKET" in done.stderr


def test_another_encryption_key_is_refused(server: servers.Server, environment: dict[str, str]) -> None:
    note = "COMMENT ON DATABASE zenml IS 'secrets encrypted with key 0123'"
    servers.rows(server.url(), databases.create("zenml"))
    servers.rows(server.url("zenml"), note)
    done = _migrate(environment)
    assert done.returncode == 1
    assert "MODELYARD_ENCRYPTION_KEY" in done.stderr
    assert servers.rows(
        server.url("zenml"), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    ) == [(0,)]


def test_the_login_of_endpoints_is_made_and_its_password_renewed(
    server: servers.Server, environment: dict[str, str]
) -> None:
    kept = "SELECT rolcanlogin, rolpassword FROM pg_authid WHERE rolname = 'modelyard_endpoint'"
    hashes = set()
    for password in ("of-today", "of-tomorrow"):
        url = f"postgresql://modelyard_endpoint:{password}@127.0.0.1/modelyard"
        done = _migrate(environment | {"MODELYARD_PREDICTIONS_URL": url})
        assert done.returncode == 0, done.stderr
        assert password not in done.stdout + done.stderr
        ((may_log_in, hashed),) = servers.rows(server.url(), kept)
        assert may_log_in
        hashes.add(hashed)
    assert len(hashes) == 2
    right = "SELECT has_table_privilege('modelyard_endpoint', 'predictions', 'INSERT')"
    assert servers.rows(server.url("modelyard"), right) == [(True,)]
    other = _migrate(
        environment | {"MODELYARD_PREDICTIONS_URL": "postgresql://tests:secret@127.0.0.1/modelyard"}
    )
    assert other.returncode == 2
    assert "The login of modelyard_endpoint has to be of that user" in other.stderr
    assert "secret" not in other.stderr


def test_a_platform_that_may_not_make_roles_goes_on_without_a_log(
    server: servers.Server, environment: dict[str, str]
) -> None:
    servers.rows(server.url(), "CREATE ROLE platform LOGIN CREATEDB")
    done = _migrate(
        environment
        | {
            "MODELYARD_DATABASE_URL": server.url().replace("tests@", "platform@"),
            "MODELYARD_PREDICTIONS_URL": "postgresql://modelyard_endpoint:secret@127.0.0.1/modelyard",
        }
    )
    assert done.returncode == 0, done.stderr
    assert "modelyard_endpoint cannot log in: platform may not make the role" in done.stderr
    assert "ALTER ROLE platform CREATEROLE" in done.stderr
    assert servers.rows(server.url("modelyard"), "SELECT count(*) FROM predictions") == [(0,)]


def _migrate(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(MIGRATE, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


def _state(server: servers.Server) -> list[object]:
    """What a migration could change: every table, and who logs in how."""
    tables = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
    return [servers.rows(server.url(name), f"{tables} ORDER BY 1, 2") for name in databases.NAMES] + [
        servers.rows(server.url("mlflow"), "SELECT username, password_hash FROM users"),
        servers.rows(server.url("zenml"), "SELECT count(*) FROM secret"),
    ]
