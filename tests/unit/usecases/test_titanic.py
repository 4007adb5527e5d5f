"""The passenger list: its data, its candidates, and the three plain functions of the hello world."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import usecases
from errors import DataError, UsageError
from serving import model
from tests.problems import answer, endpoint, fitted, rows, valid
from training import data, search
from usecases.titanic import example, passengers

TITANIC = usecases.load("titanic")
CANDIDATES = [candidate.name for candidate in TITANIC.candidates]


def survival(candidate: str, *people: dict[str, Any]) -> np.ndarray:
    requests = valid(TITANIC, [{**TITANIC.example, **person} for person in people])
    return model.predict(TITANIC, fitted("titanic", candidate), TITANIC.request_frame(requests))


def test_the_list_has_891_passengers_of_whom_342_survived() -> None:
    everyone = passengers.read([passengers.LIST])
    assert len(everyone) == 891
    assert everyone["Survived"].sum() == 342


def test_no_passenger_is_dropped() -> None:
    kept, dropped = TITANIC.clean(passengers.read([passengers.LIST]))
    assert (len(kept), dropped) == (891, {})


def test_months_mean_nothing_to_the_list(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no months"):
        TITANIC.locate("sample", ["2024-01"], tmp_path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.csv; named sources: sample"):
        TITANIC.locate("nowhere.csv", None, tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "no CSV"), (b"\xff\xfe\x00", "no CSV"), (b"a,b\n1,2", "no column")]
)
def test_a_file_that_is_not_the_list_is_named(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(DataError, match=rf"list\.csv.*{reason}"):
        TITANIC.read(TITANIC.locate(str(tmp_path / "list.csv"), None, tmp_path))


def test_columns_have_the_same_types_whatever_a_file_happens_to_hold(tmp_path: Path) -> None:
    listed = pd.read_csv(passengers.LIST)
    whole_years = listed[listed["Age"] == 30].assign(Embarked=None)
    whole_years.astype({"Age": int}).to_csv(tmp_path / "list.csv", index=False)
    read = passengers.read([tmp_path / "list.csv"])
    pd.testing.assert_series_equal(read.dtypes, passengers.read([passengers.LIST]).dtypes)
    assert read["Embarked"].isna().all()


def test_a_file_with_text_for_a_number_says_what_was_expected(tmp_path: Path) -> None:
    listed = pd.read_csv(passengers.LIST).astype({"Pclass": str})
    listed.loc[3, "Pclass"] = "first"
    listed.to_csv(tmp_path / "list.csv", index=False)
    with pytest.raises(DataError, match=r"list\.csv has values of other types than .*Pclass int64.*first"):
        passengers.read([tmp_path / "list.csv"])


@pytest.mark.parametrize(
    ("column", "value"),
    [("Survived", 2), ("Pclass", 4), ("Sex", "f"), ("Age", -1.0), ("Fare", -0.5), ("Embarked", "X")],
)
def test_the_schema_names_the_column_that_breaks_it(column: str, value: Any) -> None:
    raw = passengers.read([passengers.LIST])
    raw.loc[3, column] = value
    with pytest.raises(DataError, match=f"(?s)contract of titanic.*{column}: expected"):
        data.validate(TITANIC, raw)


def test_a_passenger_listed_twice_breaks_the_schema() -> None:
    raw = passengers.read([passengers.LIST, passengers.LIST])
    with pytest.raises(DataError, match="PassengerId"):
        data.validate(TITANIC, raw)


def test_both_sides_of_the_split_have_the_same_share_of_survivors_and_the_seed_draws_them() -> None:
    train, validation = TITANIC.split(rows("titanic"), None, 42)
    assert len(validation) == 268
    assert train["Survived"].mean() == pytest.approx(validation["Survived"].mean(), abs=0.005)
    assert not TITANIC.split(rows("titanic"), None, 43).validation.equals(validation)


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_predictions_are_probabilities(candidate: str) -> None:
    chances = TITANIC.predict(fitted("titanic", candidate), rows("titanic"))
    assert ((chances > 0) & (chances < 1)).all()


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_women_of_the_first_class_were_likelier_to_survive_than_men_of_the_third(candidate: str) -> None:
    woman, man = survival(candidate, {"Sex": "female", "Pclass": 1}, {"Sex": "male", "Pclass": 3})
    assert woman > 0.8
    assert man < 0.3


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_a_passenger_of_whom_little_is_known_is_answered(candidate: str) -> None:
    came = answer(endpoint("titanic", candidate), {"Pclass": 3, "Sex": "male"})
    assert 0 < came["probability"] < 1
    assert came["survived"] is (came["probability"] >= 0.5)


def test_as_likely_as_not_counts_as_survived() -> None:
    assert TITANIC.respond(0.5).model_dump() == {"survived": True, "probability": 0.5}
    assert TITANIC.respond(0.4999).model_dump()["survived"] is False


def test_some_candidate_is_good_enough_for_the_gate_and_better_than_the_baseline() -> None:
    train, validation = TITANIC.split(rows("titanic"), None, 42)
    scores = {
        candidate.name: search.compete(TITANIC, candidate, train, validation, trials=1, seed=42)[1].scores
        for candidate in TITANIC.candidates
    }
    best = min(scores.values(), key=lambda score: score.overall.value)
    assert best.overall.value <= TITANIC.gates.bound
    assert best.overall.value < scores["baseline"].overall.value


def test_the_hello_world_fills_every_gap_with_the_upper_median_and_changes_nothing_else() -> None:
    listed = example.load_titanic()
    filled = example.fill_in_missing_values(listed)
    assert list(filled.columns) == ["Age", "Fare", "Parch", "Pclass", "SibSp", "Survived"]
    assert filled.notna().all().all()
    assert filled.loc[listed["Age"].isna(), "Age"].unique().tolist() == [28.0]
    known = listed["Age"].notna()
    pd.testing.assert_series_equal(filled.loc[known, "Age"], listed.loc[known, "Age"])


def test_between_two_middle_values_the_upper_one_fills_the_gap() -> None:
    columns = {key: [1.0, 2.0, 4.0, 8.0] for key in example.KEPT}
    people = pd.DataFrame(columns | {"Age": [1.0, 2.0, 4.0, np.nan], "Fare": [1.0, 2.0, 4.0, 8.0]})
    people = pd.concat([people, people.iloc[[0]].assign(Age=3.0)])
    assert example.fill_in_missing_values(people)["Age"].tolist() == [1.0, 2.0, 4.0, 3.0, 3.0]


def test_a_column_without_any_value_cannot_be_filled() -> None:
    people = example.load_titanic().assign(Age=np.nan)
    with pytest.raises(DataError, match="gaps of Age"):
        example.fill_in_missing_values(people)


def test_an_empty_list_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(",".join(example.KEPT) + "\n")
    with pytest.raises(DataError, match="0 rows"):
        example.load_titanic(path)


def test_the_exported_file_reads_back_and_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "clean" / "titanic.csv"
    filled = example.fill_in_missing_values(example.load_titanic())
    for _ in range(2):
        example.export_titanic_clean(filled, path)
    pd.testing.assert_frame_equal(pd.read_csv(path), filled)
    assert [entry.name for entry in path.parent.iterdir()] == ["titanic.csv"]
