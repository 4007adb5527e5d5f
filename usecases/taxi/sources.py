"""Where trips come from: the bundled sample, the publisher, or files of one's own."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pandas as pd

from errors import DataError, UsageError
from usecases import files

if TYPE_CHECKING:
    from upath import UPath

SAMPLE = Path(__file__).parent / "sample" / "green_tripdata_sample.parquet"
PUBLISHER = "https://d37ci6vzurychx.cloudfront.net/trip-data"
SOURCES = {
    "sample": "real trips of 2024-01 and 2024-02, bundled: works offline",
    "tlc": "months from the publisher, the New York City Taxi and Limousine Commission",
}
# Column → type. The publisher's integers are 32 or 64 bits wide, or floats where a month has gaps: all months
# are brought to the same.
COLUMNS = {
    "VendorID": "int32",
    "lpep_pickup_datetime": "timestamp[us]",
    "lpep_dropoff_datetime": "timestamp[us]",
    "PULocationID": "int32",
    "DOLocationID": "int32",
    "passenger_count": "float64",
    "trip_distance": "float64",
    "trip_type": "float64",
}
DEFAULT_MONTHS = ("2024-01", "2024-02")
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_FILE = re.compile(r"green_tripdata_(\d{4}-\d{2})\.parquet")
_RETRIES = 3


def locate(
    source: str, months: Sequence[str] | None, cache: Path, *, publisher: str = PUBLISHER
) -> list[UPath]:
    """Files of a named source, a folder (with `months`, only theirs) or a list separated by commas.

    Raises:
        UsageError: no such source, or months that are malformed or mean nothing to it.
        DataError: files are missing, or the publisher or a store cannot be reached.
    """
    _check(months)
    if source == "sample":
        if months:
            raise UsageError("The sample is one file; months can be chosen with --source tlc or a folder.")
        return [files.path(SAMPLE)]
    if source == "tlc":
        return [_download(month, cache, publisher) for month in months or DEFAULT_MONTHS]
    if "," not in source and files.kind(folder := files.path(source)) == "directory":
        return _in_folder(folder, months)
    found = files.named(source, SOURCES)
    if months:
        raise UsageError("Months choose files of a folder or of --source tlc; these files are named already.")
    return found


def read(paths: Sequence[UPath]) -> pd.DataFrame:
    """Raw trips of parquet files, only the columns that are used, in the types of `COLUMNS`.

    Raises:
        DataError: a file is no parquet or damaged, lacks a column, or has other values in it.
    """
    frames = []
    for path in paths:
        with files.reaching(path), files.open_parts(path) as file:
            frames.append(_trips(path, file))
    together: pd.DataFrame = pd.concat(frames, ignore_index=True)
    return together


def _trips(path: UPath, file: IO[bytes]) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.type_for_alias(type_)) for name, type_ in COLUMNS.items()])
    try:
        parquet = pq.ParquetFile(file, pre_buffer=True)
        missing = [column for column in COLUMNS if column not in parquet.schema_arrow.names]
        table = None if missing else parquet.read(columns=schema.names)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as parquet: {error}") from error
    if table is None:
        raise DataError(
            f"{path} has no column {', '.join(missing)}; expected the published trip records "
            f"with {', '.join(COLUMNS)}."
        )
    try:
        trips: pd.DataFrame = table.select(schema.names).cast(schema).to_pandas()
    except pa.ArrowException as error:
        raise DataError(
            f"{path} has values of another type than the published trip records "
            f"({', '.join(map(' '.join, COLUMNS.items()))}): {error}"
        ) from error
    return trips


def _check(months: Sequence[str] | None) -> None:
    wrong = [month for month in months or () if not _MONTH.fullmatch(month)]
    if wrong:
        raise UsageError(f"Months look like 2024-01; got {', '.join(map(repr, wrong))}.")
    if len(set(months or ())) < len(months or ()):
        raise UsageError(f"Each month can be named once; got {', '.join(months or ())}.")


def _in_folder(folder: UPath, months: Sequence[str] | None) -> list[UPath]:
    found = {match[1]: path for path in files.entries(folder) if (match := _FILE.fullmatch(path.name))}
    there = ", ".join(found) or "none"
    if not found:
        raise DataError(f"The folder {folder} holds no green_tripdata_YYYY-MM.parquet.")
    missing = [month for month in months or () if month not in found]
    if missing:
        raise DataError(f"The folder {folder} has no {', '.join(missing)}; it has: {there}.")
    return [found[month] for month in months or found]


def _download(month: str, cache: Path, publisher: str) -> UPath:
    """The publisher's file of a month; its checksum is recorded at the first download and checked later."""
    import pooch
    import requests

    name = f"green_tripdata_{month}.parquet"
    folder = cache / "tlc"
    record = folder / f"{name}.sha256"
    url = f"{publisher}/{name}"
    known = record.read_text().strip() if record.exists() else None
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=30)
    try:
        path = Path(
            pooch.create(
                path=folder,
                base_url=f"{publisher}/",
                registry={name: f"sha256:{known}" if known else None},
                retry_if_failed=_RETRIES,
            ).fetch(name, downloader=downloader)
        )
    except (requests.RequestException, ValueError, OSError) as error:
        raise DataError(
            f"Cannot download {url} ({_RETRIES + 1} tries): {error}\n"
            "Check the network, or give files that you have: --source FOLDER. "
            "The bundled trips need neither: --source sample."
        ) from error
    if known is None:
        # Of this process alone: another may be downloading the same month.
        draft = record.with_suffix(f".{os.getpid()}")
        draft.write_text(f"{pooch.file_hash(str(path))}\n")
        draft.replace(record)
    return files.path(path)
