"""Databases are dumped, restored, changed in their paths and put in place, on old and new servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from sqlalchemy.engine import URL, make_url

from db import databases, dump, embedded
from db.session import connect
from errors import DatabaseError
from tests.integration.postgresql import servers

CONTENT = "CREATE TABLE places (id int, path text, short varchar(20), note jsonb)"
ROWS = [(1, "/old/home/artifacts/a", "/old/home/b"), (2, "/old/homely", "/elsewhere/old/home"), (3, None, "")]


@pytest.fixture(scope="module", params=[16, 18])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """A server of that version, whose programs come with the newest ones."""
    folder = tmp_path_factory.mktemp("server")
    with servers.running(folder, embedded.programs(request.param)) as server:
        found = make_url(server.url())
        assert dump.version(found) == request.param
        yield found


@pytest.fixture
def filled(url: URL) -> Iterator[URL]:
    """The server with the project's databases, in each of which is a table."""
    for name in databases.NAMES:
        _rows(url, databases.create(name))
        _rows(url.set(database=name), CONTENT)
        for row in ROWS:
            insert = "INSERT INTO places VALUES (%s, %s, %s, '{}')"
            _rows(url.set(database=name), insert, *row)
    yield url
    dump.drop_beside(url)
    for name in databases.NAMES:
        _rows(url, f"DROP DATABASE {name} WITH (FORCE)")


def test_what_is_dumped_is_what_was_there_when_it_was_frozen(filled: URL, tmp_path: Path) -> None:
    source = databases.text(filled.set(database="zenml"))
    with dump.frozen(source) as (connection, snapshot):
        _rows(filled.set(database="zenml"), "DELETE FROM places")
        assert dump.count(connection) == {"places": 3}
        dump.dump(source, snapshot, tmp_path / "zenml.dump")
    beside = dump.make_beside(filled)["zenml"]
    dump.restore(beside, tmp_path / "zenml.dump")
    with connect(beside) as connection:
        assert dump.count(connection) == {"places": 3}


def test_only_paths_below_the_old_folder_are_changed(filled: URL) -> None:
    target = databases.text(filled.set(database="mlflow"))
    dump.replace_text(target, [("/old/home/", "/new/")])
    changed = _rows(filled.set(database="mlflow"), "SELECT id, path, short FROM places ORDER BY id")
    assert changed == [(1, "/new/artifacts/a", "/new/b"), *ROWS[1:]]


def test_a_path_that_is_too_long_for_its_column_changes_nothing(filled: URL) -> None:
    target = databases.text(filled.set(database="mlflow"))
    with pytest.raises(DatabaseError, match="Paths cannot be changed in mlflow: value too long"):
        dump.replace_text(target, [("/old/home/", f"/{'n' * 30}/")])
    assert _rows(filled.set(database="mlflow"), "SELECT id, path, short FROM places ORDER BY id") == ROWS


def test_all_three_are_put_in_place_or_none(filled: URL) -> None:
    for name, beside in dump.make_beside(filled).items():
        _rows(make_url(beside), f"CREATE TABLE new_{name} ()")

    def fail() -> None:
        raise OSError("the key cannot be written")

    with pytest.raises(OSError, match="the key"):
        dump.put_in_place(filled, fail)
    assert [_tables(filled, name) for name in databases.NAMES] == [["places"]] * 3

    dump.put_in_place(filled, lambda: None)
    assert [_tables(filled, name) for name in databases.NAMES] == [
        [f"new_{name}"] for name in databases.NAMES
    ]
    dump.drop_beside(filled)
    names = {name for (name,) in _rows(filled, "SELECT datname FROM pg_database")}
    assert names == {*databases.NAMES, "postgres", "template0", "template1"}


def test_nothing_is_put_in_place_of_what_somebody_works_on(filled: URL) -> None:
    dump.make_beside(filled)
    somebody = psycopg2.connect(
        databases.text(filled.set(database="modelyard")), application_name="a notebook"
    )
    try:
        [told] = dump.connected(filled)
        assert told.startswith("modelyard: ")
        assert "for a notebook" in told
        with pytest.raises(DatabaseError, match="Somebody is still connected"):
            dump.put_in_place(filled, lambda: None)
    finally:
        somebody.close()
    assert [_tables(filled, name) for name in databases.NAMES] == [["places"]] * 3


def _tables(url: URL, database: str) -> list[str]:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    return [name for (name,) in _rows(url.set(database=database), query)]


def _rows(url: URL, query: str, *values: Any) -> list[tuple[Any, ...]]:
    return servers.rows(databases.text(url), query, *values)
