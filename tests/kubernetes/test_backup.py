"""Databases into the platform's bucket and back, by the commands that the chart's README has."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.kubernetes import data
from tests.kubernetes.cluster import RELEASE, Platform, command, installed, wait_for

SERVERS = ("zenml", "mlflow")


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    """One of this module's own, with data in it: it loses its databases."""
    with installed() as found:
        with data.opened(found) as servers:
            servers.put("of before")
        yield found


def save(platform: Platform, job: str) -> str:
    """The CronJob's work, now; returns the backup's name."""
    platform.kubectl("create", "job", job, f"--from=cronjob/{RELEASE}-backup")
    platform.kubectl("wait", "--for=condition=Complete", f"job/{job}", "--timeout=120s")
    return platform.kubectl("logs", f"job/{job}").removeprefix("Saved ").split(": ")[0]


def databases(platform: Platform, *arguments: str) -> str:
    return platform.kubectl(
        "exec", f"deployment/{RELEASE}-zenml", "--", "python", "-m", "upkeep.databases", *arguments
    )


def listed(platform: Platform) -> list[str]:
    return [line.split(": ")[0] for line in databases(platform, "list").splitlines()]


@pytest.fixture(scope="module")
def backup(platform: Platform) -> str:
    return save(platform, "of-before")


def test_what_was_saved_is_back_while_the_servers_run(platform: Platform, backup: str) -> None:
    with data.opened(platform) as servers:
        servers.put("of afterwards")
        assert listed(platform) == [backup]
        assert databases(platform, "restore", backup).startswith(f"Restored {backup}: ")
        assert servers.holds("of before")
        assert not servers.holds("of afterwards")
        servers.put("of a new time")
        assert servers.holds("of a new time")
    assert restarts(platform) == 0


def test_a_platform_that_lost_the_volume_of_its_databases_has_them_back(
    platform: Platform, backup: str
) -> None:
    platform.kubectl("scale", f"statefulset/{RELEASE}-postgresql", "--replicas=0")
    platform.kubectl("delete", "pvc", f"data-{RELEASE}-postgresql-0")
    platform.kubectl("scale", f"statefulset/{RELEASE}-postgresql", "--replicas=1")
    platform.kubectl("rollout", "status", f"statefulset/{RELEASE}-postgresql", "--timeout=120s")
    assert "zenml" not in sql(platform, "postgres", "SELECT datname FROM pg_database")

    databases(platform, "restore", backup)

    for name in SERVERS:
        platform.kubectl("rollout", "status", f"deployment/{RELEASE}-{name}", "--timeout=120s")
    with data.opened(platform) as servers:
        assert servers.holds("of before")
        assert servers.names() == {"of before"}
    assert restarts(platform) == 0


def test_a_backup_that_was_interrupted_is_not_listed_and_the_next_one_clears_it_away(
    platform: Platform, backup: str
) -> None:
    with locked(platform, "mlflow", "runs"):
        platform.kubectl("create", "job", "interrupted", f"--from=cronjob/{RELEASE}-backup")
        wait_for(lambda: len(files(platform) - of(backup)) == 2, "two of three databases saved")
        platform.kubectl("delete", "job", "interrupted", "--cascade=orphan")
        platform.kubectl("delete", "pod", "--selector=job-name=interrupted", "--grace-period=0", "--force")
    assert listed(platform) == [backup]
    assert len(files(platform) - of(backup)) == 2
    after = save(platform, "afterwards")
    assert listed(platform) == [backup, after]
    assert files(platform) == of(backup) | of(after)


def of(backup: str) -> set[str]:
    """The files of a whole backup."""
    return {f"{backup}/{name}" for name in ("manifest.json", "mlflow.dump", "modelyard.dump", "zenml.dump")}


def files(platform: Platform) -> set[str]:
    """Of all backups, as they lie on the gateway's volume."""
    folder = "/data/modelyard/backups"
    found = platform.kubectl("exec", f"deployment/{RELEASE}-s3", "--", "find", folder, "-type", "f")
    return {path.removeprefix(f"{folder}/") for path in found.splitlines()}


@contextmanager
def locked(platform: Platform, database: str, table: str) -> Iterator[None]:
    """While nobody else can read a table."""
    statement = f"LOCK TABLE {table}; SELECT pg_sleep(600)"
    holding = "SELECT {} FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    with subprocess.Popen(
        psql(platform, database, statement), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ):
        try:
            wait_for(lambda: sql(platform, database, holding.format("pid")), "a lock")
            yield
        finally:
            sql(platform, database, holding.format("pg_terminate_backend(pid)"))


def psql(platform: Platform, database: str, statement: str) -> list[str]:
    line = ["kubectl", "--namespace", platform.namespace, "exec", f"{RELEASE}-postgresql-0", "--"]
    return [*line, "psql", "--username=postgres", "--tuples-only", f"--dbname={database}", "-c", statement]


def sql(platform: Platform, database: str, statement: str) -> str:
    return command(*psql(platform, database, statement)).strip()


def restarts(platform: Platform) -> int:
    """Of both servers together."""
    return sum(
        pod["status"]["containerStatuses"][0]["restartCount"]
        for name in SERVERS
        for pod in platform.servers(name)
    )
