"""The audit trail is written by PostgreSQL itself, refuses to be changed, and shows it when it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from alembic import command
from alembic.config import Config

from db import approvals, audit, databases, dump, embedded, migrate
from db import releases as record
from db.session import engine
from releases.audit import Audit, check
from tests.integration.postgresql import servers
from tests.integration.postgresql.servers import Server, rows

ADDRESS = "http://127.0.0.1:3000"
EVIDENCE = {"model": "a" * 64, "data": {"trips.parquet": "b" * 64}, "judgement": None, "naïve": "東京"}
# As a superuser may: no trigger knows of what follows.
UNSEEN = "SET session_replication_role = 'replica'; "


@pytest.fixture
def url(database: str) -> str:
    migrate.upgrade(database)
    return database


def release(url: str, version: int = 1, use_case: str = "taxi", serves: bool = True) -> int:
    number = record.begin(
        url,
        use_case=use_case,
        model_version=version,
        bento=f"{use_case}:{version}",
        target="local",
        released_by="someone@somewhere",
        evidence=EVIDENCE,
    )
    record.note_process(url, number, 7, 1764158400.1234567)
    if serves:
        record.serve(url, number, ADDRESS)
    return number


def approve(url: str, use_case: str = "taxi") -> int:
    return approvals.approve(
        url, use_case=use_case, model_version=1, model="a" * 64, approved_by="someone@somewhere"
    )


def checked(url: str, use_case: str = "taxi", anchor: str | None = None) -> Audit:
    return check(audit.read(url), use_case, anchor)


def problems(found: Audit) -> list[str]:
    return [*found.problems, *(problem for one in found.releases for problem in one.problems)]


def test_each_step_of_a_release_is_a_row_and_all_agree(url: str) -> None:
    approve(url)
    release(url, 1)
    release(url, 2)
    written = rows(url, "SELECT id, release_id, event, content->>'status' FROM audit ORDER BY id")
    assert written == [
        (1, None, "approved", None),
        (2, 1, "rolling_out", "rolling_out"),
        (3, 1, "pid, pid_started", "rolling_out"),
        (4, 1, "serving", "serving"),
        (5, 2, "rolling_out", "rolling_out"),
        (6, 2, "pid, pid_started", "rolling_out"),
        (7, 1, "superseded", "superseded"),
        (8, 2, "serving", "serving"),
    ]
    found = checked(url)
    assert problems(found) == []
    assert [one.release for one in found.releases] == [2, 1]
    assert [found.newest] == [hash for (hash,) in rows(url, "SELECT hash FROM audit WHERE id = 8")]


def test_a_change_that_changes_nothing_is_no_row(url: str) -> None:
    release(url)
    rows(url, "UPDATE releases SET address = address")
    assert checked(url).rows == 3


def test_what_is_written_does_not_depend_on_how_the_session_shows_it(url: str) -> None:
    release(url, serves=False)
    strange = "SET timezone = 'Asia/Tokyo'; SET extra_float_digits = -10; SET datestyle = 'SQL, DMY'; "
    rows(url, strange + "UPDATE releases SET verified_at = now(), pid_started = 1764158400.7654321")
    assert problems(checked(url)) == []


def test_twenty_writers_at_once_leave_one_chain(url: str) -> None:
    def work(number: int) -> None:
        record.fail(url, release(url, number + 1, f"case {number % 4}", serves=False), "given up")

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(work, range(40)))
    for case in range(4):
        found = checked(url, f"case {case}")
        assert found.rows == 120
        assert problems(found) == []
        assert len(found.releases) == 10


def test_a_release_that_is_rolled_back_leaves_no_gap(url: str) -> None:
    with engine(url).connect() as connection, connection.begin() as transaction:
        connection.exec_driver_sql(
            "INSERT INTO releases (use_case, model_version, bento, target, status, released_by) "
            "VALUES ('taxi', 1, 'taxi:1', 'local', 'rolling_out', 'someone@somewhere')"
        )
        transaction.rollback()
    release(url)
    assert problems(checked(url)) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET event = 'serving' WHERE id = 1",
        "DELETE FROM audit WHERE id = 1",
        "TRUNCATE audit",
        "INSERT INTO audit SELECT id + 9, at, use_case, release_id, event, content, hash, hash FROM audit",
        "UPDATE approvals SET approved_by = 'another'",
        "DELETE FROM approvals",
        "TRUNCATE approvals",
        "TRUNCATE releases",
    ],
)
def test_triggers_refuse_what_would_change_it(url: str, statement: str) -> None:
    approve(url)
    release(url)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="is refused"):
        rows(url, statement)
    assert problems(checked(url)) == []


@pytest.mark.parametrize(
    ("tampering", "found"),
    [
        (
            "UPDATE audit SET content = content || '{\"model_version\": 2}' WHERE id = 3",
            "Row 3 (pid, pid_started, taxi) was changed",
        ),
        ("UPDATE audit SET at = at - interval '1 day' WHERE id = 2", "Row 2 (rolling_out, taxi) was changed"),
        ("DELETE FROM audit WHERE id = 3", "Row 4 comes after row 2: what was between them is gone"),
        ("DELETE FROM audit WHERE id = 4", "status is serving, and was rolling_out"),
        ("DELETE FROM audit WHERE release_id = 1", "the trail has nothing of it"),
        ("UPDATE releases SET model_version = 9", "model_version is 9, and was 1"),
        ("UPDATE releases SET evidence = NULL", "evidence is empty, and was {"),
        ("DELETE FROM releases", "it is gone, and the trail has it"),
        ("UPDATE approvals SET approved_by = 'me'", "approved_by is me, and was someone@somewhere"),
        ("DELETE FROM approvals", "Approval 1: it is gone, and the trail has it"),
        (
            "INSERT INTO approvals VALUES (2, 'taxi', 2, 'x', NULL, 'me', now())",
            "Approval 2: the trail has nothing of it",
        ),
    ],
)
def test_what_somebody_changes_with_triggers_off_is_found(url: str, tampering: str, found: str) -> None:
    approve(url)
    release(url)
    assert problems(checked(url)) == []
    rows(url, UNSEEN + tampering)
    assert any(found in problem for problem in problems(checked(url))), problems(checked(url))


def test_a_row_whose_hash_was_computed_anew_breaks_the_chain_behind_it(url: str) -> None:
    release(url)
    rows(
        url,
        UNSEEN + 'UPDATE audit SET content = content || \'{"bento": "another"}\' WHERE id = 2;'
        "UPDATE audit SET hash = encode(sha256(convert_to(jsonb_build_array("
        "previous, id, (extract(epoch FROM at) * 1000000)::bigint, use_case, release_id, event, content"
        ")::text, 'UTF8')), 'hex') WHERE id = 2",
    )
    assert "Row 3 was not written after row 2 as that is now." in problems(checked(url))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE releases SET model_version = 9", "model_version was 1 when it began, and was made 9"),
        ("DELETE FROM releases", "it was deleted at 20"),
    ],
)
def test_what_is_done_under_the_triggers_eyes_is_on_record_and_told(
    url: str, change: str, found: str
) -> None:
    release(url)
    rows(url, change)
    result = checked(url)
    assert result.problems == [], "the chain is whole"
    assert any(found in problem for problem in problems(result)), problems(result)


def test_a_trigger_that_is_off_is_told(url: str) -> None:
    rows(url, "ALTER TABLE releases DISABLE TRIGGER audit_note; DROP TRIGGER audit_refuse ON audit")
    assert [problem.split(" is ")[0] for problem in checked(url).problems] == [
        "The trigger audit_note of releases",
        "The trigger audit_refuse of audit",
    ]


def test_what_is_cut_off_at_the_end_is_found_by_a_hash_that_was_kept(url: str) -> None:
    release(url)
    before = checked(url).newest
    release(url, 2, serves=False)
    kept = checked(url).newest
    rows(url, UNSEEN + "DELETE FROM audit WHERE id > 3; DELETE FROM releases WHERE id = 2")
    assert problems(checked(url, anchor=before)) == []
    assert problems(checked(url)) == [], "by itself it does not show"
    assert problems(checked(url, anchor=kept))[0].startswith(f"No row has the hash {kept}")


def test_releases_of_before_have_a_first_row(database: str) -> None:
    _to(database, command.upgrade, "0004")
    values = "('taxi', {}, 'taxi:1', 'local', '{}', 'someone@somewhere', now(), 1764158400.1234567)"
    rows(
        database,
        "SET timezone = 'Asia/Tokyo'; "
        "INSERT INTO releases "
        "(use_case, model_version, bento, target, status, released_by, verified_at, pid_started) "
        f"VALUES {values.format(1, 'superseded')}, {values.format(2, 'serving')}",
    )
    migrate.upgrade(database)
    found = checked(database)
    assert problems(found) == []
    assert found.rows == 2
    release(database, 3)
    assert problems(checked(database)) == []
    assert record.history(database)[-1].evidence is None


def test_a_backup_has_the_trail_and_what_is_restored_goes_on_with_it(url: str, tmp_path: Path) -> None:
    approve(url)
    release(url)
    with dump.frozen(url) as (_, snapshot):
        dump.dump(url, snapshot, tmp_path / "dump")
    with servers.database(url) as restored:
        dump.restore(restored, tmp_path / "dump")
        assert checked(restored, anchor=checked(url).newest) == checked(url)
        dump.replace_text(restored, [("taxi", "somewhere else")])
        assert checked(restored, "taxi").problems == []
        release(restored, 2, "titanic")
        assert problems(checked(restored, "titanic")) == []


@pytest.fixture(scope="module", params=[16, 18])
def own(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of that version, on which no role but its administrator's is a superuser."""
    with servers.running(tmp_path_factory.mktemp("own"), embedded.programs(request.param)) as server:
        yield server


@pytest.fixture
def login(own: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """The migrated database of a role of its own, which has the rights of the parameter."""
    rows(own.url(), f"CREATE ROLE application LOGIN {request.param}")
    rows(own.url(), f"{databases.create('ours')} OWNER application")
    url = own.url("ours").replace("tests@", "application@")
    migrate.upgrade(url)
    yield url
    rows(own.url(), "DROP DATABASE ours WITH (FORCE)")
    rows(own.url(), f"DROP ROLE IF EXISTS {audit.OWNER}; DROP ROLE application")


@pytest.mark.parametrize("login", ["CREATEROLE"], indirect=True)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET event = 'serving'",
        "DELETE FROM audit",
        "TRUNCATE audit",
        "INSERT INTO audit SELECT id + 9, at, use_case, release_id, event, content, hash, hash FROM audit",
        "ALTER TABLE audit DISABLE TRIGGER ALL",
        f"SET ROLE {audit.OWNER}",
        "SELECT audit_append('taxi', 1, 'serving', '{}')",
        "CREATE TABLE mine (); CREATE TRIGGER forge BEFORE INSERT ON mine EXECUTE FUNCTION audit_note()",
        "CREATE OR REPLACE FUNCTION audit_note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
    ],
)
def test_the_applications_role_can_only_read_it(login: str, statement: str) -> None:
    release(login)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        rows(login, statement)
    found = checked(login)
    assert problems(found) == []
    assert found.protection.startswith(
        "It belongs to modelyard_audit: application has the right to read it, and no other."
    )


@pytest.mark.parametrize("login", ["CREATEROLE"], indirect=True)
def test_an_administrator_can_end_the_last_way_to_it(login: str, own: Server) -> None:
    rows(own.url(), f"ALTER ROLE application NOCREATEROLE; REVOKE {audit.OWNER} FROM application")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        rows(login, f"GRANT {audit.OWNER} TO application")
    release(login)
    assert checked(login).protection == (
        "It belongs to modelyard_audit: application has the right to read it, and no other."
    )


@pytest.mark.parametrize("login", ["CREATEROLE"], indirect=True)
def test_a_restored_trail_is_protected_again(login: str, own: Server, tmp_path: Path) -> None:
    release(login)
    with dump.frozen(login) as (_, snapshot):
        dump.dump(login, snapshot, tmp_path / "dump")
    rows(own.url(), f"{databases.create('restored')} OWNER application")
    restored = login.replace("/ours", "/restored")
    try:
        dump.restore(restored, tmp_path / "dump")
        assert checked(restored).protection.startswith("Triggers refuse")
        audit.protect_restored(restored)
        assert checked(restored).protection.startswith("It belongs to modelyard_audit")
        release(restored, 2)
        assert problems(checked(restored)) == []
    finally:
        rows(own.url(), "DROP DATABASE restored WITH (FORCE)")


@pytest.mark.parametrize("login", ["CREATEROLE"], indirect=True)
def test_down_to_nothing_and_up_again_as_an_ordinary_role(login: str) -> None:
    release(login)
    _to(login, command.downgrade, "base")
    migrate.upgrade(login)
    release(login)
    assert checked(login).protection.startswith("It belongs to modelyard_audit")
    assert problems(checked(login)) == []


@pytest.mark.parametrize("login", ["NOCREATEROLE"], indirect=True)
def test_a_role_that_may_not_make_roles_has_triggers_and_is_told_so(login: str) -> None:
    release(login)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="is refused"):
        rows(login, "DELETE FROM audit")
    found = checked(login)
    assert problems(found) == []
    assert found.protection == (
        "Triggers refuse changes of it; application owns it, and could turn them off."
    )


def _to(url: str, move: Callable[[Config, str], Any], revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.MIGRATIONS))
    with engine(url).begin() as connection:
        config.attributes["connection"] = connection
        move(config, revision)
