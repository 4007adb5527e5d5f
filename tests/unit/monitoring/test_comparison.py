"""A check says what is so, and asks for a new model only where one may help."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import usecases
from errors import DataError
from monitoring.check import Check
from monitoring.comparison import MIN_ROWS, Current, Reference, compare
from tests.toy import rows, toy
from usecases.base import UseCase

SINCE, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 8, tzinfo=UTC)


def predicted(count: int, seed: int) -> pd.DataFrame:
    """Rows with the predictions of a model that is off by 1 on average."""
    frame = rows(count, seed)
    return frame.assign(prediction=frame["y"] + np.random.default_rng(seed).normal(size=count))


def check(now: pd.DataFrame, known: pd.DataFrame | None = None, use_case: UseCase | None = None) -> Check:
    known = now.iloc[:0] if known is None else known
    current = Current(now.drop(columns="y"), len(now), known, len(known))
    return compare(use_case or toy(), Reference(3, predicted(2000, 0)), current, SINCE, UNTIL)


def kinds(found: Check) -> list[str]:
    return [finding.kind for finding in found.findings]


def test_where_nothing_happened_nothing_is_found() -> None:
    now = predicted(1000, 1)
    found = check(now, now)
    assert found.verdict == "good"
    assert (found.model_version, found.rows, found.outcomes, found.reference_rows) == (3, 1000, 1000, 2000)
    assert [shift.column for shift in found.shifts] == ["x", "colour"]
    assert found.performance is not None
    assert found.performance.overall.low < 1 < found.performance.overall.high


def test_the_same_rows_give_the_same_check() -> None:
    now = predicted(1000, 1)
    assert check(now, now) == check(now, now)


def test_a_column_that_moved_asks_for_retraining_and_says_from_where_to_where() -> None:
    now = predicted(1000, 1).assign(x=lambda frame: frame["x"] + 2)
    found = check(now)
    assert found.verdict == "retrain"
    assert kinds(found)[0] == "drift"
    assert found.findings[0].sentence.startswith("The number is higher: the median was 4.97 and is 6.94")
    assert "distance 0.2" in found.findings[0].sentence


def test_the_value_whose_share_changed_most_is_named() -> None:
    found = check(predicted(1000, 1).assign(colour="blue"))
    assert "most of all, red had 51.1% of the rows and has 0.0%" in found.findings[0].sentence


def test_predictions_that_moved_ask_for_retraining() -> None:
    found = check(predicted(1000, 1).assign(prediction=lambda frame: frame["prediction"] - 4))
    assert kinds(found)[0] == "prediction drift"
    assert found.asks_for_retraining


def test_a_spread_that_changed_is_told_where_the_median_is_the_same() -> None:
    reference = Reference(1, predicted(2000, 0).assign(x=np.linspace(0, 10, 2000)))
    now = predicted(1001, 1).assign(x=np.linspace(3, 7, 1001))
    found = compare(toy(), reference, Current(now, 1001, now.iloc[:0], 0), SINCE, UNTIL)
    assert (
        "spread otherwise: half of the rows were between 2.5 and 7.5 and are between 4 and 6"
        in found.findings[0].sentence
    )


def test_outcomes_that_contradict_predictions_ask_for_retraining() -> None:
    now = predicted(1000, 1)
    found = check(now, now.assign(y=now["y"] * 1.2))
    assert found.verdict == "retrain"
    assert kinds(found)[0] == "performance"
    assert found.performance is not None
    assert found.performance.overall.worse
    assert "instead of" in found.findings[0].sentence


def test_a_slice_that_fell_behind_is_named_though_the_whole_did_not() -> None:
    now = predicted(4000, 1)
    # A quarter of a colour's rows: the others are a little better than they were.
    red = now["colour"] == "red"
    known = now.assign(y=now["y"] + np.where(red, 1.0, 0) * np.sign(now["y"] - now["prediction"]))
    known["prediction"] = np.where(red, known["prediction"], known["y"] + 0.1)
    found = check(now, known)
    assert any("slices: colour: red" in finding.sentence for finding in found.findings)


def test_a_broken_source_is_told_and_asks_for_nothing() -> None:
    case = toy(monitored={})
    now = predicted(1000, 1)
    found = check(now.assign(x=now["x"].where(np.arange(1000) % 2 == 0)), use_case=case)
    assert kinds(found) == ["quality"]
    assert found.verdict == "watch"
    assert "x: 50.0% of 1,000 rows have no value, 0.0% had none before" in found.findings[0].sentence


def test_too_few_rows_are_only_said_to_be_too_few() -> None:
    for count in (0, 1, MIN_ROWS - 1):
        now = predicted(count, 1).assign(x=100.0)
        found = check(now, now.assign(y=-50.0))
        assert found.verdict == "too few rows"
        assert (found.shifts, found.prediction, found.quality, found.performance) == ([], None, [], None)


def test_late_outcomes_are_judged_where_no_prediction_was_made() -> None:
    known = predicted(1000, 1)
    found = check(known.iloc[:0], known.assign(y=known["y"] + 5))
    assert set(kinds(found)) == {"too few rows", "performance"}
    assert found.verdict == "retrain"


@pytest.mark.parametrize(("column", "value"), [("prediction", np.nan), ("prediction", np.inf), ("y", np.nan)])
def test_what_is_no_number_is_refused(column: str, value: float) -> None:
    now = predicted(300, 1)
    broken = now.assign(**{column: now[column].where(now.index != 5, value)})
    with pytest.raises(DataError, match=rf"finite number as {column} in each row; 1 of 300 have none"):
        check(now, broken)


def test_a_column_that_is_missing_is_named() -> None:
    now = predicted(300, 1)
    with pytest.raises(DataError, match=r"What came must have the columns .*; colour is missing"):
        check(now.drop(columns="colour"), now)


def test_a_column_of_nothing_but_missing_values_is_no_error() -> None:
    now = predicted(1000, 1)
    found = check(now.assign(x=np.nan, colour=None))
    assert {"drift", "quality"} <= set(kinds(found))


def test_passengers_like_those_of_before_have_not_drifted_and_those_of_first_class_have() -> None:
    case = usecases.load("titanic")
    everyone = case.clean(case.read(case.locate("sample", None, Path()))).frame
    everyone = everyone.assign(prediction=everyone["Sex"].map({"female": 0.75, "male": 0.2}))
    train, validation = case.split(everyone, None, 0)
    found = compare(case, Reference(1, validation), Current(train, 623, train, 623), SINCE, UNTIL)
    assert found.verdict == "good", found.findings
    assert [shift.column for shift in found.shifts] == list(case.monitored)
    first = everyone[everyone["Pclass"] == 1]
    found = compare(case, Reference(1, validation), Current(first, 216, first, 216), SINCE, UNTIL)
    sentences = [finding.sentence for finding in found.findings]
    assert any(sentence.startswith("Class of the ticket is distributed otherwise") for sentence in sentences)
    assert any(sentence.startswith("Fare is higher: the median was") for sentence in sentences)
