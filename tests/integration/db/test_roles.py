"""Each login that pods have can do its work and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from db import databases, embedded, migrate, predictions, roles
from db.roles import ENDPOINT, INGESTION, STREAM, Role
from errors import DatabaseError
from serving.log.shipper import Shipper
from serving.log.spool import Spool
from tests.integration.postgresql import servers
from tests.integration.postgresql.servers import Server, rows

PASSWORD = "a login's \\ p@ssword"
TODAY = datetime.now(UTC).date()
ALL = (ENDPOINT, STREAM, INGESTION)


@pytest.fixture(scope="module", params=[16, 18])
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of that version that asks for passwords, with the project's database of an ordinary role."""
    folder = tmp_path_factory.mktemp("server")
    with servers.running(folder, embedded.programs(request.param), log_statement="all") as guarded:
        rows(guarded.url(), "CREATE ROLE owner LOGIN CREATEROLE")
        rows(guarded.url(), f"{databases.create('modelyard')} OWNER owner")
        access = guarded.data / "pg_hba.conf"
        access.write_text(
            f"host all {','.join(role.name for role in ALL)} 127.0.0.1/32 scram-sha-256\n"
            "host all all 127.0.0.1/32 trust\n"
        )
        rows(guarded.url(), "SELECT pg_reload_conf()")
        migrate.upgrade(_owner(guarded))
        for role in ALL:
            roles.make(_owner(guarded), role, PASSWORD)
        yield guarded


def test_the_endpoints_role_can_log(guarded: Server, tmp_path: Path) -> None:
    spool, url_file = Spool(tmp_path / "spool", 1_000_000, "taxi"), tmp_path / "url"
    url_file.write_text(_as(guarded, ENDPOINT))
    for _ in range(2):
        spool.predicted("logged", 0, time.time(), 7, None, b"{}", b"{}", 0.1)
        spool.outcome("logged", 0, 12.5, time.time())
    shipper = Shipper(spool, url_file)
    shipper.start()
    shipper.close(30)
    assert shipper.shipped == 4
    assert [row["value"] for row in predictions.latest(_owner(guarded), "taxi", 5)] == [12.5, 12.5]


def test_the_streams_role_can_log_and_read_the_log(guarded: Server) -> None:
    url = _as(guarded, STREAM)
    rows(url, "SELECT prediction_partition(%s)", TODAY)
    rows(url, "INSERT INTO stream_places VALUES ('workers', 'requests', 0, 7)")
    rows(url, "INSERT INTO stream_events VALUES ('taxi', 'an event')")
    rows(url, "SELECT inputs, value FROM predictions LEFT JOIN outcomes USING (use_case, request_id, row)")


def test_the_role_of_ingestion_makes_tables_that_the_owner_keeps(guarded: Server) -> None:
    url = _as(guarded, INGESTION)
    rows(url, "CREATE TABLE ingested.trips (miles float); INSERT INTO ingested.trips VALUES (1.5)")
    assert rows(_owner(guarded), "SELECT miles FROM ingested.trips") == [(1.5,)]
    # As a database is that was restored.
    rows(_owner(guarded), "ALTER TABLE ingested.trips OWNER TO owner; ALTER SCHEMA ingested OWNER TO owner")
    roles.make(_owner(guarded), INGESTION, PASSWORD)
    rows(url, "ALTER TABLE ingested.trips ADD COLUMN fare float; SELECT nextval('batches_id_seq')")
    rows(url, "SELECT FROM predictions, outcomes, cleanings, drift_checks, decisions")
    rows(url, "SELECT FROM batches; DELETE FROM batches")
    rows(_owner(guarded), "DROP TABLE ingested.trips")


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        (ENDPOINT, "SELECT inputs FROM predictions"),
        (ENDPOINT, f"SELECT inputs FROM predictions_{TODAY:%Y%m%d}"),
        (ENDPOINT, f"INSERT INTO predictions_{TODAY:%Y%m%d} SELECT"),
        (ENDPOINT, "DELETE FROM predictions"),
        (ENDPOINT, "UPDATE predictions SET row = 1"),
        (ENDPOINT, "TRUNCATE outcomes"),
        (ENDPOINT, "SELECT * FROM releases"),
        (ENDPOINT, "SELECT * FROM stream_events"),
        (ENDPOINT, "CREATE TABLE mine ()"),
        (ENDPOINT, "ALTER FUNCTION prediction_partition(date) OWNER TO modelyard_endpoint"),
        (STREAM, "DELETE FROM predictions"),
        (STREAM, "DELETE FROM stream_places"),
        (STREAM, "SELECT * FROM releases"),
        (STREAM, "CREATE TABLE mine ()"),
        (STREAM, "CREATE TABLE ingested.mine ()"),
        (INGESTION, "INSERT INTO predictions SELECT"),
        (INGESTION, "UPDATE decisions SET result = NULL"),
        (INGESTION, "SELECT * FROM releases"),
        (INGESTION, "SELECT prediction_partition(current_date)"),
        (INGESTION, "CREATE TABLE mine ()"),
        (INGESTION, "CREATE SCHEMA mine"),
    ],
)
def test_none_can_do_anything_else(guarded: Server, role: Role, statement: str) -> None:
    rows(_owner(guarded), "SELECT prediction_partition(%s)", TODAY)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        rows(_as(guarded, role), statement)


def test_a_password_is_renewed_and_no_log_of_the_server_has_it(guarded: Server) -> None:
    roles.make(_owner(guarded), ENDPOINT, "an0ther-one")
    assert rows(_as(guarded, ENDPOINT, "an0ther-one"), "SELECT 1") == [(1,)]
    with pytest.raises(psycopg2.OperationalError, match="password"):
        rows(_as(guarded, ENDPOINT), "SELECT 1")
    roles.make(_owner(guarded), ENDPOINT, PASSWORD)
    assert rows(_as(guarded, ENDPOINT), "SELECT 1") == [(1,)]
    assert "ROLE" in guarded.log()
    assert "an0ther-one" not in guarded.log()


def test_others_cannot_make_partitions(guarded: Server) -> None:
    rows(guarded.url(), "DROP ROLE IF EXISTS other; CREATE ROLE other LOGIN")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        rows(_owner(guarded).replace("owner@", "other@"), "SELECT public.prediction_partition(current_date)")


def test_who_may_not_make_roles_is_told_what_helps(guarded: Server) -> None:
    rows(guarded.url(), "ALTER ROLE owner NOCREATEROLE")
    try:
        with pytest.raises(DatabaseError, match="ALTER ROLE owner CREATEROLE"):
            roles.make(_owner(guarded), ENDPOINT, PASSWORD)
    finally:
        rows(guarded.url(), "ALTER ROLE owner CREATEROLE")


def _owner(guarded: Server) -> str:
    return guarded.url("modelyard").replace("tests@", "owner@")


def _as(guarded: Server, role: Role, password: str = PASSWORD) -> str:
    return databases.text(make_url(guarded.url("modelyard")).set(username=role.name, password=password))
