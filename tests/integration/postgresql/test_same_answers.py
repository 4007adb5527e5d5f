"""ZenML's client answers every question on PostgreSQL as it does on SQLite."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

Answers = dict[str, Any]

# Known and wanted: each has a test of its own.
KNOWN = ("Ï", "the last microsecond of a month by time week", "contains:.0")


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
    asked = {
        name: start("exercise", url, str(folder / f"{name}.json"), url, "1") for name, url in urls.items()
    }
    for script in asked.values():
        script.ended()
    return Both(**{name: json.loads((folder / f"{name}.json").read_text()) for name in urls})


def test_the_same_questions_were_asked(both: Both) -> None:
    assert list(both.sqlite) == list(both.postgresql)
    assert len(both.sqlite) > 2_500


def test_every_list_of_the_client_is_asked_and_shows_something(both: Both) -> None:
    lists = {question: answer for question, answer in both.postgresql.items() if question.startswith("list_")}
    whole = {question: answer for question, answer in lists.items() if " " not in question}
    assert len(whole) > 30
    # Devices come from a login in a browser.
    assert {question for question, answer in whole.items() if not answer} == {"list_authorized_devices"}


def test_every_answer_is_the_same(both: Both) -> None:
    different = [
        f"{question}\n    SQLite     {both.sqlite[question]}\n    PostgreSQL {answer}"
        for question, answer in both.postgresql.items()
        if answer != both.sqlite[question] and not any(known in question for known in KNOWN)
    ]
    assert not different, f"{len(different)} answers differ:\n" + "\n".join(different[:20])


def test_capitals_beyond_ascii_are_one_with_small_letters_on_postgresql_alone(both: Both) -> None:
    """Known and wanted: PostgreSQL does as MySQL does; SQLite knows the capitals of ASCII only."""
    question = "models {'name': 'contains:Ï'}"
    assert both.sqlite[question] == [1, ["NAÏVE"]]
    assert both.postgresql[question] == [2, ["naïve 東京", "NAÏVE"]]


def test_a_whole_number_has_no_point_as_text_on_postgresql(both: Both) -> None:
    """Known and wanted: PostgreSQL writes 60 as MySQL does, SQLite 60.0."""
    question = "schedules {'interval_second': 'contains:.0'}"
    assert both.sqlite[question] == [2, ["every minute", "Rarely"]]
    assert both.postgresql[question] == [0, []]


def test_a_week_ends_with_its_last_microsecond_on_postgresql(both: Both) -> None:
    """Known and wanted: SQLite reads times to the millisecond and rounds this one up into the next week."""
    question = "the last microsecond of a month by time week"
    assert both.sqlite[question] == [[[{"week": "2024-07-01"}, 1, {}]], False]
    assert both.postgresql[question] == [[[{"week": "2024-06-24"}, 1, {}]], False]


def test_pages_show_every_item_once_whatever_they_are_sorted_by(both: Both) -> None:
    """Also by another table's column, where ZenML says nothing of equals but asks for distinct rows."""
    for answers in (both.sqlite, both.postgresql):
        missing = {question: answer[1] for question, answer in answers.items() if " in pages by " in question}
        assert len(missing) > 50
        # A snapshot with two deployments comes twice: ZenML counts it once, and gives as many rows.
        assert {question for question, items in missing.items() if items} == {
            "list_snapshots in pages by deployment"
        }


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
            "list_model_versions sorted asc:stage",
            [["0 v0", "3 v3", "4 v4", "5 v5", "6 v6"], ["2 v2"], ["1 v1"]],
        ),
        ("schedules {'interval_second': 'equals:60'}, asked 1", [1, ["every minute"]]),
        ("schedules {'interval_second': 'equals:abc'}, asked 2", [0, []]),
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
