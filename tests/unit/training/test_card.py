from __future__ import annotations

from typing import Any

import pytest

from tests.toy import rows, toy
from training.card import MAX_VALUES, card
from training.evaluation import Evaluation, Score, Scores
from training.explanation import Importance, Importances
from training.gates import judge
from training.profile import profile
from usecases.taxi.use_case import USE_CASE as TAXI

DIGEST = "ab" * 32


def provenance(candidate: str) -> dict[str, Any]:
    return {
        "candidate": candidate,
        "parameters": {"alpha": 1000.0},
        "seed": 42,
        "plan": {"cutoff": None, "fingerprint": {"data": {"rows.csv": DIGEST}, "commit": "0123abc"}},
        "python": "3.11.7 x86_64",
        "libraries": {"python": "3.11", "numpy": "2.4.6"},
        "zenml_run": "train_toy-1",
        "trained_at": "2026-11-26T09:00:00+00:00",
    }


def evaluation(values: int = 2) -> Evaluation:
    slices = {"colour": {f"colour {n}": Score(value=0.5 + n, rows=100 + n) for n in range(values)}}
    scores = Scores(overall=Score(value=0.5, rows=200), slices=slices)
    return Evaluation(
        candidate="ridge", scores=scores, reference="champion 1", reference_scores=scores, champion=1
    )


def written(evaluated: Evaluation, **changes: Any) -> str:
    case = toy(**changes)
    table = rows()
    return card(
        case,
        3,
        provenance("ridge"),
        profile(table[case.request_columns], table["y"].to_numpy()),
        evaluated,
        judge(case, evaluated),
        Importances(columns=[Importance(column="x", mean=5.25, spread=0.125)]),
    )


@pytest.mark.parametrize(
    "line",
    [
        "# Twice the number: model version 3",
        "**For** tests.",
        "**Not for** anything else.",
        "| **all rows** | 200 | 0.5 | 0.5 |",
        "| colour: colour 1 | 101 | 1.5 | 1.5 |",
        "| bound | yes | rmse 0.5, must be at most 1 |",
        "| x | 5.2500 | 0.1250 |",
        "| parameters | alpha 1000.0; seed 42 |",
        "| data | rows.csv `abababababababababa` |",
        "| environment | Python 3.11.7 x86_64; numpy 2.4.6 |",
        "The same model again, bit for bit: `python run.py reproduce toy 3`",
    ],
)
def test_a_card_says(line: str) -> None:
    assert line in written(evaluation()).splitlines()


def test_a_gate_that_was_not_passed_catches_the_eye() -> None:
    failing = evaluation(values=2)
    failing = failing.model_copy(
        update={"scores": Scores(overall=Score(value=7.0, rows=200), slices=failing.scores.slices)}
    )
    assert "| bound | **no** | rmse 7, must be at most 1 |" in written(failing)


def test_of_many_slices_those_with_the_most_rows_are_shown_and_the_others_counted() -> None:
    lines = written(evaluation(values=MAX_VALUES + 5)).splitlines()
    shown = [line for line in lines if line.startswith("| colour: colour")]
    assert len(shown) == MAX_VALUES
    assert shown[0].startswith(f"| colour: colour {MAX_VALUES + 4} ")
    assert "| colour: 5 more with fewer rows |  |  |  |" in lines


def test_what_a_table_would_take_for_its_own_is_escaped() -> None:
    assert "| a\\|b | 1.0000 | 0.0000 |" in card(
        toy(),
        3,
        provenance("ridge"),
        {"rows": 1, "columns": {}},
        evaluation(),
        judge(toy(), evaluation()),
        Importances(columns=[Importance(column="a|b", mean=1.0, spread=0.0)]),
    )


def test_moments_are_told_as_dates_and_rare_values_are_counted() -> None:
    quantiles = {"0.0": 1706745600.0, "0.5": 1707955200.0, "1.0": 1709251140.0}
    columns = {
        "lpep_pickup_datetime": {"missing": 0, "quantiles": quantiles},
        "passenger_count": {"missing": 5, "counts": {str(n): 100 - n for n in range(MAX_VALUES + 3)}},
    }
    text = card(
        TAXI,
        3,
        provenance("ridge"),
        {"rows": 100, "columns": columns},
        evaluation(),
        judge(toy(), evaluation()),
        Importances(columns=[]),
    )
    assert "| 2024-02-01 00:00 to 2024-02-29 23:59, half of them below 2024-02-15 00:00 |" in text
    assert "| passenger_count | 5.0% | 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 3 more |" in text
