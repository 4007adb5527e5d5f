"""A store on SQLite or MySQL is moved to PostgreSQL: every value of every row, or nothing."""

from __future__ import annotations

import base64
import json
import sqlite3
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, create_engine, select
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from stacks.postgresql import dialect
from tests.integration.postgresql import mariadb
from tests.integration.postgresql.servers import rows

KEY = "1" * 64
"""Of the source; the target has another one."""
_DRIVERS = {"sqlite": "sqlite", "mysql": "mysql+pymysql", "postgresql": dialect.DRIVER}


@dataclass(frozen=True)
class Source:
    """A filled store."""

    url: str
    password: str = ""
    reading: Mapping[str, str] = field(default_factory=dict)
    """Environment that its artifacts can be read in: those of MySQL's clients are with the clients."""

    @property
    def environment(self) -> dict[str, str]:
        return {"SOURCE_KEY": KEY, "MYSQL_PWD": self.password}

    @property
    def full_url(self) -> str:
        """With the password."""
        url = make_url(self.url)
        return url.set(password=self.password or None).render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory, start: Any) -> Source:
    """Where ZenML puts it when nobody says otherwise: below the folder of its settings."""
    config = tmp_path_factory.mktemp("config")
    file = config / "local_stores" / "default_zen_store" / "zenml.db"
    file.parent.mkdir(parents=True)
    source = Source(f"sqlite:///{file}")
    environment = {"ZENML_CONFIG_PATH": str(config), "ZENML_SECRETS_STORE_ENCRYPTION_KEY": KEY}
    start("moving", source.url, "fill", **environment).ended()
    return source


@pytest.fixture(scope="module")
def mysql(tmp_path_factory: pytest.TempPathFactory, start: Any) -> Iterator[Source]:
    with mariadb.running(tmp_path_factory.mktemp("mariadb"), password="p@:/w%") as url:
        client = {"ZENML_CONFIG_PATH": str(tmp_path_factory.mktemp("client"))}
        source = Source(url, "p@:/w%", client)
        start("moving", source.full_url, "fill", ZENML_SECRETS_STORE_ENCRYPTION_KEY=KEY, **client).ended()
        yield source


@pytest.fixture(params=["sqlite", pytest.param("mysql", marks=mariadb.needed)])
def source(request: pytest.FixtureRequest) -> Source:
    found: Source = request.getfixturevalue(request.param)
    return found


def test_every_value_of_every_row_arrives(source: Source, database: str, start: Any) -> None:
    before = _contents(source.full_url)
    moved = _move(start, source, database)
    after = _contents(database)

    assert moved["rows"] == {name: len(found) for name, found in before.items()}
    assert sum(moved["rows"].values()) > 500
    for table in before:
        assert after[table] == before[table], table
    assert _contents(source.full_url) == before
    read = json.loads(start("moving", database, "read", **source.reading).ended())
    assert read["secrets"]["bytes"] == {"key": bytes(range(256)).decode("latin-1")}
    assert read["secrets"].keys() >= {"text", "bytes", "Escapes", "long"}
    assert read["loaded"] == {"text": "naïve 東京"}


def test_the_source_is_not_touched(sqlite: Source, database: str, start: Any) -> None:
    file = Path(make_url(sqlite.url).database or "")
    before, folder = file.read_bytes(), sorted(file.parent.iterdir())
    _move(start, sqlite, database)
    assert file.read_bytes() == before
    assert sorted(file.parent.iterdir()) == folder


def test_the_new_store_is_as_strict_as_a_fresh_one_and_goes_on_counting(
    sqlite: Source, database: str, start: Any, module_database: str
) -> None:
    query = "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint ORDER BY 1, 2"
    _move(start, sqlite, database)
    start("working", module_database).ended()
    assert rows(database, query) == rows(module_database, query)

    # It has several projects, of which ZenML takes none by itself.
    rows(database, "UPDATE \"user\" SET default_project_id = p.id FROM project p WHERE p.name = 'default'")
    start("working", database).ended()  # runs a pipeline
    assert rows(database, "SELECT status FROM pipeline_run WHERE name = 'first'") == [("completed",)]


def test_the_second_time_all_is_there_already(sqlite: Source, database: str, start: Any) -> None:
    first = _move(start, sqlite, database)
    assert _move(start, sqlite, database) == first


def test_killed_with_all_rows_copied_it_leaves_nothing_and_is_done_again(
    sqlite: Source, database: str, start: Any
) -> None:
    killed = start("moving", database, "move", sqlite.url, "die", **sqlite.environment)
    killed.ready()
    fresh = _contents(database)
    killed.go()
    assert killed.process.wait(timeout=60) < 0
    assert _contents(database) == fresh
    assert _move(start, sqlite, database)["rows"]["pipeline_run"] > 10


def test_two_at_once_do_it_once(sqlite: Source, database: str, start: Any) -> None:
    both = [start("moving", database, "move", sqlite.url, **sqlite.environment) for _ in range(2)]
    for script in both:
        script.ready()
    for script in both:
        script.go()
    first, second = (json.loads(script.ended()) for script in both)
    assert first == second
    assert first["rows"]["pipeline_run"] == rows(database, "SELECT count(*) FROM pipeline_run")[0][0]


def test_a_store_that_is_in_use_is_never_written_over(sqlite: Source, database: str, start: Any) -> None:
    start("working", database).ended()
    before = _contents(database)
    refused = _move(start, sqlite, database)["refused"]
    assert "in use already: it has 1 rows in pipeline_run" in refused
    assert _contents(database) == before


def test_secrets_of_another_key_are_refused_by_name(sqlite: Source, database: str, start: Any) -> None:
    script = start("moving", database, "move", sqlite.url, SOURCE_KEY="2" * 64)
    script.ready()
    fresh = _contents(database)
    script.go()
    refused = json.loads(script.ended())["refused"]
    assert "cannot be decrypted. Give the key" in refused
    assert _contents(database) == fresh


@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        ("UPDATE alembic_version SET version_num = '0.94.0'", "its revision is 0.94.0"),
        ("DROP TABLE alembic_version", "it has no alembic_version"),
        (
            "UPDATE step_run SET pipeline_run_id = printf('%032d', 0)",
            "rows in step_run that refer to rows which are not there",
        ),
        ("UPDATE tag SET color = printf('%300c', 'x')", "PostgreSQL refuses rows of tag"),
    ],
)
def test_what_cannot_be_moved_is_refused_with_the_reason(
    sqlite: Source, database: str, start: Any, tmp_path: Path, statement: str, refusal: str
) -> None:
    copy = tmp_path / "zenml.db"
    copy.write_bytes(Path(make_url(sqlite.url).database or "").read_bytes())
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute(statement)
    assert refusal in _move(start, Source(f"sqlite:///{copy}"), database)["refused"]


@pytest.mark.parametrize(
    ("url", "refusal"),
    [
        ("sqlite:////no/such/file.db", "There is no file /no/such/file.db"),
        ("mysql://nobody@127.0.0.1:1/zenml", "cannot be read"),
        ("oracle://somewhere/zenml", "from SQLite or MySQL, not from oracle"),
        ("zenml.db", "is no URL"),
    ],
)
def test_a_source_that_is_none_is_refused(url: str, refusal: str, module_database: str, start: Any) -> None:
    assert refusal in _move(start, Source(url), module_database)["refused"]


def _move(start: Any, source: Source, target: str) -> dict[str, Any]:
    script = start("moving", target, "move", source.url, **source.environment)
    script.go()
    moved: dict[str, Any] = json.loads(script.ended().removeprefix("ready\n"))
    return moved


def _contents(url: str) -> dict[str, list[Any]]:
    """Every row of every table as Python has it, but for what is to differ: ciphers and paths."""
    dialect.register()
    found = {}
    where = make_url(url)
    where = where.set(drivername=_DRIVERS[where.get_backend_name()])
    with create_engine(where, poolclass=NullPool).connect() as connection:
        for table in _tables():
            read = [_comparable(row._asdict()) for row in connection.execute(select(table))]
            found[table.name] = sorted(read, key=str)
    return found


def _tables() -> list[Table]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what ZenML is built on
        from sqlmodel import SQLModel
        from zenml.zen_stores import schemas
    assert schemas
    return list(SQLModel.metadata.tables.values())


def _comparable(row: dict[str, Any]) -> dict[str, Any]:
    if "secret_store_id" in row or {"values", "private"} <= row.keys():
        return row | {"values": bool(row["values"])}
    if row.get("flavor") == "local" and row.get("type") == "artifact_store":
        configuration = json.loads(base64.b64decode(row["configuration"]))
        return row | {"configuration": configuration | {"path": ""}}
    return row
