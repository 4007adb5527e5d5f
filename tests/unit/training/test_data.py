"""Many data files, prepared one by one: the same rows, numbers and refusals as together."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import usecases
from errors import DataError
from tests.problems import NAMES
from tests.splitting import prepared_one_by_one, prepared_together, same_bits, split_sample
from training import data
from training.fingerprint import of_files

TITANIC = usecases.load("titanic")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("parts", [1, 3, 7])
def test_files_prepared_one_by_one_give_what_they_give_together(
    name: str, parts: int, tmp_path: Path
) -> None:
    case = usecases.load(name)
    files = split_sample(name, parts, tmp_path)
    one_by_one, together = prepared_one_by_one(case, files), prepared_together(case, files)
    assert same_bits(one_by_one.clean, together.clean)
    assert one_by_one[1:] == together[1:]


def test_the_order_of_the_files_is_the_order_of_the_rows(tmp_path: Path) -> None:
    files = split_sample("titanic", 3, tmp_path)[::-1]
    clean = prepared_one_by_one(TITANIC, files).clean
    assert same_bits(clean, prepared_together(TITANIC, files).clean)
    assert clean["PassengerId"].iloc[-1] < clean["PassengerId"].iloc[0]


def test_a_file_without_a_row_to_keep_changes_nothing(tmp_path: Path) -> None:
    case = usecases.load("taxi")
    files = split_sample("taxi", 2, tmp_path)
    empty = tmp_path / "empty.parquet"
    pd.read_parquet(files[0]).head(0).to_parquet(empty)
    assert same_bits(
        prepared_one_by_one(case, [files[0], empty, files[1]]).clean, prepared_together(case, files).clean
    )


def test_a_file_that_breaks_the_contract_is_named(tmp_path: Path) -> None:
    first, second, _ = split_sample("titanic", 3, tmp_path)
    pd.read_csv(second).assign(Pclass=9).to_csv(second, index=False)
    prepared_one_by_one(TITANIC, [first])
    with pytest.raises(DataError, match=rf"(?s)The data of {second} break the contract.*Pclass: expected"):
        prepared_one_by_one(TITANIC, [first, second])


def test_a_file_that_changed_since_it_was_planned_is_named(tmp_path: Path) -> None:
    (file,) = split_sample("titanic", 1, tmp_path)
    planned = of_files([file])
    file.write_text(file.read_text() + "\n")
    with pytest.raises(DataError, match=rf"Changed since the training was planned: {file.name}"):
        data.prepare(TITANIC, str(file), planned)


def test_what_must_be_unique_must_be_so_across_files_as_well(tmp_path: Path) -> None:
    first, second = split_sample("titanic", 2, tmp_path)
    twice = pd.concat([pd.read_csv(first).head(1), pd.read_csv(second)])
    twice.to_csv(second, index=False)
    for prepared in (prepared_one_by_one, prepared_together):
        with pytest.raises(DataError, match=r"(?s)contract of titanic.*PassengerId: expected .*unique"):
            prepared(TITANIC, [first, second])
