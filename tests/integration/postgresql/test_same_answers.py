"""ZenML's client answers every question on PostgreSQL as it does on SQLite."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

Answers = dict[str, Any]


@dataclass(frozen=True)
class Both:
    """Answers by question, of each database."""

    sqlite: Answers
    postgresql: Answers


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, module_database: str, start: Any) -> Both:
    """Two processes side by side make the same objects and ask the same questions; see exercise.py."""
    folder = tmp_path_factory.mktemp("answers")
    urls = {"sqlite": f"sqlite:///{folder}/zenml.db", "postgresql": module_database}
    asked = {name: start("exercise", url, str(folder / f"{name}.json")) for name, url in urls.items()}
    for script in asked.values():
        script.ended()
    return Both(**{name: json.loads((folder / f"{name}.json").read_text()) for name in urls})


def test_the_same_questions_were_asked(both: Both) -> None:
    assert list(both.sqlite) == list(both.postgresql)
    assert len(both.sqlite) > 1_000


def test_every_answer_is_the_same(both: Both) -> None:
    different = [
        f"{question}\n    SQLite     {both.sqlite[question]}\n    PostgreSQL {answer}"
        for question, answer in both.postgresql.items()
        if answer != both.sqlite[question] and "Ï" not in question
    ]
    assert not different, f"{len(different)} answers differ:\n" + "\n".join(different[:20])


def test_capitals_beyond_ascii_are_one_with_small_letters_on_postgresql_alone(both: Both) -> None:
    """Known and wanted: PostgreSQL does as MySQL does; SQLite knows the capitals of ASCII only."""
    question = "models {'name': 'contains:Ï'}"
    assert both.sqlite[question] == [1, ["NAÏVE"]]
    assert both.postgresql[question] == [2, ["naïve 東京", "NAÏVE"]]


def test_the_answers_say_something(both: Both) -> None:
    """Equal answers would prove little if most were errors or empty."""
    full = [answer for answer in both.sqlite.values() if isinstance(answer, list) and answer[:1] != [0]]
    errors = [answer for answer in both.sqlite.values() if str(answer).endswith("Error")]
    assert len(full) > len(both.sqlite) / 2
    assert len(errors) < len(both.sqlite) / 5


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("models {'name': 'equals:PLAIN'}", [0, []]),
        ("models {'name': 'startswith:PLAIN'}", [3, ["plain", "Plain", "PLAIN-3"]]),
        ("models {'name': 'contains:a_b'}", [3, ["a_b", "aXb", "A_B"]]),
        (f"models {{'name': 'startswith:{'x' * 64}'}}", [1, ["x" * 64]]),
        ("models {'name': 'gt:1.5e308'}", [1, ["1e400"]]),
        ("model versions {'run_metadata': 'loss:gt:0.25'}", [2, ["v1", "v3"]]),
        ("model versions {'run_metadata': 'loss:lt:-1e308'}", [0, []]),
        ("model versions {'run_metadata': 'loss:lt:0'}", [1, ["v2"]]),
        (
            "model versions sorted asc:stage",
            [["None", ["v0", "v3", "v4", "v5", "v6"]], ["production", ["v2"]], ["staging", ["v1"]]],
        ),
        ("its versions", []),
        ("what had the tag", []),
    ],
)
def test_answers_that_can_be_told_beforehand(both: Both, question: str, answer: Any) -> None:
    assert both.postgresql[question] == answer


def test_secrets_come_back_as_they_were(both: Both) -> None:
    answers = both.postgresql
    assert answers["secret bytes"] == {"key": bytes(range(256)).decode("latin-1")}
    assert answers["secret text"] == {"key": "naïve 東京 🌍", "empty": "", "quotes": "a'b\"c\\d%_"}
    assert answers["secret Escapes"]["nul"] == "a\x00b"
    assert answers["secret long"] == {"key": "x" * 20_000}
