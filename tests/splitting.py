"""The bundled samples divided into files, and the two ways that many files go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

import usecases
from training import data
from training.data import Prepared
from training.fingerprint import of_files
from usecases.base import UseCase


def split_sample(name: str, parts: int, folder: Path) -> list[Path]:
    """The rows of a use case's sample as so many files of the same kind, of unequal length."""
    case = usecases.load(name)
    (sample,) = case.locate("sample", None, folder)
    rows = pd.read_csv(sample) if sample.suffix == ".csv" else pd.read_parquet(sample)
    weights = [part + 1 for part in range(parts)]
    ends = [len(rows) * sum(weights[: part + 1]) // sum(weights) for part in range(parts)]
    files = []
    for part, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        file = folder / f"part_{part}{sample.suffix}"
        some = rows.iloc[start:end]
        some.to_csv(file, index=False) if sample.suffix == ".csv" else some.to_parquet(file, index=False)
        files.append(file)
    return files


def prepared_one_by_one(case: UseCase, files: Sequence[Path]) -> Prepared:
    digests = of_files(files)
    parts = [data.prepare(case, str(file), {file.name: digests[file.name]}) for file in files]
    return data.gather(case, parts)


def prepared_together(case: UseCase, files: Sequence[Path]) -> Prepared:
    raw = data.read(case, [str(file) for file in files], of_files(files))
    data.validate(case, raw)
    clean, dropped = case.clean(raw)
    return Prepared(clean, len(raw), dropped)


def same_bits(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether two frames are equal to the last bit: types, index and the sign of a zero included."""
    pd.testing.assert_frame_equal(one, other, check_exact=True, check_column_type=True)
    return all(
        one[column].to_numpy().tobytes() == other[column].to_numpy().tobytes()
        for column in one.select_dtypes("number")
    )
