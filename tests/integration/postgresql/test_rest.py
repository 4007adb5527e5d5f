"""Clients of ZenML's real server on PostgreSQL: they are unmodified, and know nothing of PostgreSQL."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.postgresql import servers
from tests.integration.postgresql.test_same_answers import KNOWN

# Of the questions that change nothing every 20th is asked over REST, of the others all.
EVERY = "20"
# A server attaches a trigger to a copy of the snapshot, which the store in process does not make.
COPIES = ("list_snapshots named_only", "pipeline_snapshot", "step_configuration")


@dataclass(frozen=True)
class Served:
    """A server of ZenML's, and where it keeps its rows."""

    url: str
    database: str
    login: dict[str, str]


def serve(database: str, start: Any) -> Served:
    """ZenML's server, as it starts on an empty database."""
    port, password = servers.free_port(), secrets.token_hex(8)
    start("serving", database, str(port), password).ready()
    login = {"ZENML_STORE_USERNAME": "default", "ZENML_STORE_PASSWORD": password}
    return Served(f"http://127.0.0.1:{port}", database, login)


@pytest.fixture(scope="module")
def served(module_database: str, start: Any) -> Served:
    """One for all who run pipelines or may not."""
    return serve(module_database, start)


@pytest.fixture(scope="module")
def api_key(served: Served, start: Any) -> str:
    """Of a service account that somebody made who logged in with a password."""
    return start("client", served.url, "key", **served.login).ended().strip()


def test_a_service_account_runs_a_pipeline_and_reads_it_back(
    served: Served, api_key: str, start: Any
) -> None:
    ran = start("client", served.url, "run", "over REST", ZENML_STORE_API_KEY=api_key).ended()
    assert ran == "robot completed 3 東京 42\n"
    query = 'SELECT r.status, u.name FROM pipeline_run r JOIN "user" u ON u.id = r.user_id WHERE r.name = %s'
    assert servers.rows(served.database, query, "over REST") == [("completed", "robot")]


def test_over_rest_the_answers_are_those_of_sqlite_in_process(
    database: str, tmp_path: Path, start: Any
) -> None:
    served = serve(database, start)
    sqlite = f"sqlite:///{tmp_path}/zenml.db"
    asked = [
        start("exercise", served.url, str(tmp_path / "rest"), database, EVERY, **served.login),
        start("exercise", sqlite, str(tmp_path / "sqlite"), sqlite, EVERY),
    ]
    for script in asked:
        script.ended()
    rest, expected = (_comparable(json.loads((tmp_path / name).read_text())) for name in ("rest", "sqlite"))
    assert list(rest) == list(expected)
    assert len(rest) > 250
    different = [question for question in rest if rest[question] != expected[question]]
    assert not different, [(question, rest[question], expected[question]) for question in different[:20]]


def _comparable(answers: dict[str, Any]) -> dict[str, Any]:
    """Without what is known to differ, from SQLite or in process."""
    kept = {
        text: answer
        for text, answer in answers.items()
        if not any(known in text for known in (*KNOWN, *COPIES))
    }
    for text, answer in kept.items():
        if text.startswith("rows "):
            kept[text] = {table: count for table, count in answer.items() if table not in COPIES}
    return kept


@pytest.mark.parametrize(
    "login",
    [
        {"ZENML_STORE_API_KEY": "ZENKEY_" + "x" * 64},
        {"ZENML_STORE_USERNAME": "default", "ZENML_STORE_PASSWORD": "wrong"},
    ],
)
def test_who_has_no_login_is_refused(served: Served, login: dict[str, str], start: Any) -> None:
    refused = start("client", served.url, "run", "refused", **login)
    refused.process.wait(timeout=60)
    assert refused.process.returncode != 0
    assert "Authentication error" in refused.log.read_text()
    assert servers.rows(served.database, "SELECT FROM pipeline_run WHERE name = 'refused'") == []
