"""A database that ZenML 0.94.0 made is taken over by this ZenML with all that is in it, or left as it was."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from stacks.postgresql import TESTED_VERSIONS
from tests.integration.postgresql import environments
from tests.integration.postgresql.servers import rows

NEW, OLD = TESTED_VERSIONS
# Written anew by each ZenML when it starts: its catalogue of flavors, with links into its documentation, and
# its own version and last use.
OWN = {"flavor", "alembic_version", "server_settings"}
SECONDS = 60

COLUMNS = """
    SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default
    FROM information_schema.columns WHERE table_schema = 'public'
"""
CONSTRAINTS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
"""
INDEXES = r"""
    SELECT tablename, regexp_replace(indexdef, '.* USING \w+ ', ''), starts_with(indexdef, 'CREATE UNIQUE')
    FROM pg_indexes WHERE schemaname = 'public'
"""


@dataclass(frozen=True)
class Old:
    """A database that the old ZenML made, and what it tells of it."""

    url: str
    keys: Path
    told: dict[str, Any]
    stores: str


@dataclass(frozen=True)
class Upgraded:
    """A copy of it that the new ZenML has opened, what that tells of it, and its rows right then."""

    url: str
    told: dict[str, Any]
    rows: dict[str, Counter[Any]]


@pytest.fixture(scope="module")
def old_python() -> str:
    return environments.python_with(f"zenml[server]=={OLD}", "psycopg2-binary")


@pytest.fixture(scope="module")
def old(module_database: str, old_python: str, start: Any, tmp_path_factory: pytest.TempPathFactory) -> Old:
    folder = tmp_path_factory.mktemp("old")
    keys, told, stores = folder / "keys", folder / "told", str(folder / "stores")
    by_old = {"python": old_python, "ZENML_LOCAL_STORES_PATH": stores}
    start("upgrading", module_database, "make", str(keys), **by_old).ended()
    start("upgrading", module_database, "read", str(keys), str(told), **by_old).ended()
    return Old(module_database, keys, json.loads(told.read_text()), stores)


@pytest.fixture(scope="module")
def upgraded(old: Old, start: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    file = tmp_path_factory.mktemp("new") / "told"
    with _copy(old.url) as url:
        start(
            *("upgrading", url, "read", str(old.keys), str(file)), ZENML_LOCAL_STORES_PATH=old.stores
        ).ended()
        yield Upgraded(url, json.loads(file.read_text()), _rows(url, _columns(old.url) & _columns(url)))


@pytest.fixture
def copy(old: Old) -> Iterator[str]:
    """URL of a copy of the old database."""
    with _copy(old.url) as url:
        yield url


def test_every_row_of_every_table_is_as_it_was(old: Old, upgraded: Upgraded) -> None:
    before = _rows(old.url, _columns(old.url) & _columns(upgraded.url))
    assert before.keys() - OWN == upgraded.rows.keys() - OWN
    changed = [table for table in before.keys() - OWN if before[table] != upgraded.rows[table]]
    assert changed == []
    filled = {table for table, found in before.items() if found}
    assert {"pipeline_run", "step_run", "artifact_version", "model_version", "tag_resource"} <= filled
    assert {"run_metadata", "secret", "api_key", "user", "service_connector", "logs"} <= filled
    # What the new version no longer has, a key that it takes from the log's file.
    assert _columns(old.url) - _columns(upgraded.url) == {("logs", "log_key")}


def test_the_client_tells_every_value_as_it_did(old: Old, upgraded: Upgraded) -> None:
    before, after = (dict(_leaves(told)) for told in (old.told, upgraded.told))
    assert len(before) > 3_000
    different = {place for place, value in before.items() if after.get(place, "absent") != value}
    # A connector type's description comes from the code, not from the database.
    assert {place for place in different if "flavor" not in place and place[-1] != "description"} == set()


def test_secrets_are_decrypted_and_keys_still_open(upgraded: Upgraded) -> None:
    assert upgraded.told["secrets"]["bytes"]["key"] == bytes(range(256)).decode("latin-1")
    assert upgraded.told["secrets"]["text"] == {"key": "naïve 東京 🌍", "empty": "", "quotes": "a'b\"c\\d%_"}
    assert upgraded.told["connectors"]["registry"]["password"] == "geheim"
    assert upgraded.told["keys"] == [True, True]
    assert sorted(upgraded.told["values"].values()) == [-1, 1, 2, 12, 24]


def test_the_schema_is_that_of_a_fresh_database(upgraded: Upgraded, database: str, start: Any) -> None:
    start("upgrading", database, "open").ended()
    assert _set(upgraded.url, CONSTRAINTS) == _set(database, CONSTRAINTS)
    # ZenML's migrations leave the defaults there with which they filled the columns.
    different = {row[:2] for row in _set(upgraded.url, COLUMNS) ^ _set(database, COLUMNS)}
    counts = ("received", "accepted", "auth_failed", "invalid_payload")
    assert different == {("webhook_stats", f"{count}_count") for count in counts}
    # Indexed for their foreign keys, before ZenML's own indexes came that begin with the same column.
    here, fresh = (Counter(rows(url, INDEXES)) for url in (upgraded.url, database))
    assert fresh - here == Counter()
    assert {row[:2] for row in here - fresh} == {
        ("artifact_version", "(artifact_id)"),
        ("pipeline_run", "(parent_run_id)"),
        ("pipeline_run", "(pipeline_id)"),
        ("pipeline_run", "(project_id)"),
        ("pipeline_snapshot", "(project_id)"),
        ("step_configuration", "(step_run_id)"),
    }


def test_a_new_run_counts_on_from_the_old_ones(old: Old, upgraded: Upgraded, start: Any) -> None:
    new = start("upgrading", upgraded.url, "work", "3", ZENML_LOCAL_STORES_PATH=old.stores)
    assert json.loads(new.ended()) == ["completed", 4, 6, "4"]


def test_the_old_version_refuses_the_new_database(upgraded: Upgraded, old_python: str, start: Any) -> None:
    refused = start("upgrading", upgraded.url, "open", python=old_python)
    refused.process.communicate(timeout=SECONDS)
    assert refused.process.returncode != 0
    assert f"Can't locate revision identified by '{NEW}'" in refused.log.read_text()
    assert rows(upgraded.url, "SELECT version_num FROM alembic_version") == [(NEW,)]


def test_a_migration_that_fails_halfway_leaves_the_old_version_whole(
    copy: str, old: Old, old_python: str, start: Any, tmp_path: Path
) -> None:
    name = copy.rpartition("/")[2]
    with _halfway(copy):
        rows(copy, f"ALTER DATABASE {name} SET lock_timeout = '1s'")
        failed = start("upgrading", copy, "open")
        failed.process.communicate(timeout=SECONDS)
    assert failed.process.returncode != 0
    assert "canceling statement due to lock timeout" in failed.log.read_text()
    _is_as_it_was(copy, old)

    told = tmp_path / "told"
    by_old = {"python": old_python, "ZENML_LOCAL_STORES_PATH": old.stores}
    start("upgrading", copy, "read", str(old.keys), str(told), **by_old).ended()
    assert _without_flavors(json.loads(told.read_text())) == _without_flavors(old.told)

    rows(copy, f"ALTER DATABASE {name} RESET lock_timeout")
    assert start("upgrading", copy, "open").ended() == f"{NEW}\n"


def test_of_two_migrations_at_once_one_works_and_one_waits(copy: str, old: Old, start: Any) -> None:
    with _halfway(copy):
        first = start("upgrading", copy, "open")
        _until(lambda: _migrating(copy) == 1)
        connected = _others(copy)
        second = start("upgrading", copy, "open")
        # One connection has seen that there is something to do, the other one asks for its turn.
        _until(lambda: _others(copy) == connected + 2)
        assert _migrating(copy) == 1
    assert [script.ended() for script in (first, second)] == [f"{NEW}\n"] * 2
    shared = _columns(old.url) & _columns(copy)
    before, after = _rows(old.url, shared), _rows(copy, shared)
    assert [table for table in before.keys() - OWN if before[table] != after[table]] == []


def test_a_migration_that_is_killed_halfway_is_done_by_the_next(copy: str, old: Old, start: Any) -> None:
    with _halfway(copy):
        killed = start("upgrading", copy, "open")
        _until(lambda: _migrating(copy) == 1)
        killed.process.kill()
        killed.process.wait(timeout=SECONDS)
    _until(lambda: _others(copy) == 0)
    _is_as_it_was(copy, old)
    assert start("upgrading", copy, "open").ended() == f"{NEW}\n"


@contextmanager
def _copy(url: str) -> Iterator[str]:
    """URL of a copy of a database that nobody is connected to, dropped afterwards."""
    base, _, name = url.rpartition("/")
    copy = f"test_{secrets.token_hex(6)}"
    rows(f"{base}/postgres", f"CREATE DATABASE {copy} TEMPLATE {name}")
    yield f"{base}/{copy}"
    rows(f"{base}/postgres", f"DROP DATABASE {copy} WITH (FORCE)")


@contextmanager
def _halfway(url: str) -> Iterator[None]:
    """Hold a table that the migration changes in the 24th of its 34 revisions, so that it stops there."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE api_key")
        yield


def _migrating(url: str) -> int:
    """How many processes wait for the table, having changed others."""
    query = """
        SELECT count(*) FROM pg_stat_activity a
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND 5 <
          (SELECT count(*) FROM pg_locks l WHERE l.pid = a.pid AND granted AND mode = 'AccessExclusiveLock')
    """
    return int(rows(url, query)[0][0])


def _others(url: str) -> int:
    # Autovacuum's workers come and go by themselves.
    query = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
    """
    return int(rows(url, query)[0][0])


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_as_it_was(url: str, old: Old) -> None:
    for query in (COLUMNS, CONSTRAINTS, INDEXES):
        assert _set(url, query) == _set(old.url, query)
    assert _rows(url, _columns(url)) == _rows(old.url, _columns(old.url))


def _columns(url: str) -> set[tuple[str, str]]:
    return {(table, column) for table, column, *_ in rows(url, COLUMNS)}


def _rows(url: str, columns: set[tuple[str, str]]) -> dict[str, Counter[Any]]:
    """All rows of each table, of these columns."""
    tables: dict[str, list[str]] = {}
    for table, column in sorted(columns):
        tables.setdefault(table, []).append(f'"{column}"::text')
    return {
        table: Counter(rows(url, f'SELECT {", ".join(names)} FROM "{table}"'))
        for table, names in tables.items()
    }


def _set(url: str, query: str) -> set[tuple[Any, ...]]:
    return set(rows(url, query))


def _leaves(told: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value with the way to it."""
    if isinstance(told, list):
        told = {str(index): item for index, item in enumerate(told)}
    if not isinstance(told, dict) or not told:
        yield place, told
        return
    for name, item in told.items():
        # `list_flavors` and a component's `flavor` alike.
        kind = "flavor" if re.fullmatch(r"list_flavors|flavor", name) else name
        yield from _leaves(item, (*place, kind))


def _without_flavors(told: Any) -> dict[Any, Any]:
    return {place: value for place, value in _leaves(told) if "flavor" not in place}
