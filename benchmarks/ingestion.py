"""How fast rows come into PostgreSQL: `ingest` beside pandas' `to_sql`, and beside COPY alone as the limit.

    .venv/bin/python benchmarks/ingestion.py --months FOLDER

The months of trips are repeated under other dates until they make ten million rows, as parquet files. Each
side is a process of its own, one after the other, into a server of their own; all count what is there.
`to_sql` gets fewer rows, since its time grows with them alone. The table goes to stdout and
docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))  # as a script it finds only what lies beside it

from benchmarks import page  # noqa: E402

COLUMNS = {
    "lpep_pickup_datetime": pa.timestamp("us"),
    "lpep_dropoff_datetime": pa.timestamp("us"),
    "PULocationID": pa.int32(),
    "DOLocationID": pa.int32(),
    "trip_distance": pa.float64(),
    "passenger_count": pa.float64(),
    "trip_type": pa.float64(),
    "VendorID": pa.int32(),
}
CHUNK = 250_000
_DAYS = 120 * 86_400_000_000
"""Microseconds from one repetition to the next: the months are four."""


@dataclass(frozen=True)
class Measured:
    """One whole process."""

    rows: int
    seconds: float
    processor: float
    """Seconds of a core, which other work on the machine changes less than the time."""
    megabytes: float

    @property
    def rate(self) -> float:
        """Rows in a second."""
        return self.rows / self.seconds


def main() -> None:
    arguments = _arguments()
    if arguments.side:
        SIDES[arguments.side](arguments.months, arguments.url)
        return
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=arguments.scratch) as scratch:
        os.environ["MODELYARD_HOME"] = str(Path(scratch) / "home")
        from db import embedded
        from db.databases import prepare
        from db.migrate import upgrade
        from settings import read

        rows = repeat(arguments.months, Path(scratch) / "all", arguments.rows)
        few = repeat(arguments.months, Path(scratch) / "few", arguments.rows // 50)
        load = os.getloadavg()[0]
        try:
            url = prepare(read()).modelyard
            upgrade(url)
            measured = {
                "ingest": measure("ingest", Path(scratch) / "all", url, rows),
                "COPY alone": measure("copy", Path(scratch) / "all", url, rows),
                "pandas to_sql": measure("to_sql", Path(scratch) / "few", url, few),
            }
        finally:
            embedded.stop(read().home)
    section = report(measured, load)
    print(section)
    page.write("benchmarks/ingestion.py", section)


def repeat(months: Path, folder: Path, wanted: int) -> int:
    """At least so many rows as parquet files in a folder; returns how many."""
    folder.mkdir()
    schema = pa.schema(list(COLUMNS.items()))
    tables = [
        pq.read_table(file, columns=schema.names).select(schema.names).cast(schema)
        for file in sorted(months.glob("*.parquet"))
    ]
    rows = number = 0
    while rows < wanted:
        for table in tables:
            shifted = table
            for name in schema.names[:2]:
                at = schema.names.index(name)
                moved = pc.add(table[name].cast(pa.int64()), number * _DAYS).cast(schema.field(at).type)
                shifted = shifted.set_column(at, schema.field(at), moved)
            pq.write_table(shifted, folder / f"{number:03}-{rows:09}.parquet")
            rows += len(shifted)
            if rows >= wanted:
                break
        number += 1
    return rows


def measure(side: str, folder: Path, url: str, rows: int) -> Measured:
    """One side as a process of its own, which must leave all rows in its table."""
    command = [sys.executable, __file__, "--side", side, "--months", str(folder), "--url", url]
    with tempfile.TemporaryFile("w+") as output:
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        # The kernel's own account of this one process.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read()
    assert process.returncode == 0, said[-4000:]
    found = json.loads(said.splitlines()[-1])["rows"]
    assert found == rows, f"{side} left {found} rows, and {rows} came."
    return Measured(rows, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)


def _ingest(folder: Path, url: str) -> None:
    from upath import UPath

    import usecases
    from ingestion import spec
    from ingestion.load import load
    from settings import read

    home = read().home
    source = folder.with_name("months.yaml")
    source.write_text(json.dumps({"kind": "files", "path": str(folder)}))
    case, place = usecases.load("taxi"), UPath(home) / "batches" / "taxi"
    load(case, spec.find("taxi", str(source)), url=url, place=place, home=home)
    _count(url, "ingested.taxi")


def _copy(folder: Path, url: str) -> None:
    import psycopg2

    kinds = {"timestamp[us]": "timestamp", "int32": "integer", "double": "double precision"}
    columns = ", ".join(f'"{name}" {kinds[str(kind)]}' for name, kind in COLUMNS.items())
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE copied ({columns}, batch varchar NOT NULL)")
        for file in sorted(folder.glob("*.parquet")):
            for batch in pq.ParquetFile(file).iter_batches(CHUNK):
                rows = pa.Table.from_batches([batch])
                named = rows.append_column("batch", pa.array(["1795737371.4244106"] * len(rows)))
                buffer = io.BytesIO()
                pa_csv.write_csv(named, buffer, pa_csv.WriteOptions(include_header=False))
                buffer.seek(0)
                cursor.copy_expert("COPY copied FROM STDIN (FORMAT csv)", buffer)
    _count(url, "copied")


def _to_sql(folder: Path, url: str) -> None:
    from sqlalchemy import create_engine

    engine = create_engine(url)
    for file in sorted(folder.glob("*.parquet")):
        for batch in pq.ParquetFile(file).iter_batches(CHUNK):
            batch.to_pandas().assign(batch="1795737371.4244106").to_sql(
                "by_pandas", engine, if_exists="append", index=False
            )
    _count(url, "by_pandas")


SIDES: dict[str, Callable[[Path, str], None]] = {"ingest": _ingest, "copy": _copy, "to_sql": _to_sql}


def _count(url: str, table: str) -> None:
    from sqlalchemy import create_engine, text

    with create_engine(url).connect() as connection:
        rows = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()  # noqa: S608
    print(json.dumps({"rows": rows}))


def report(measured: dict[str, Measured], load: float) -> str:
    """The section for the page: the machine, the table, what it means."""
    limit, peer = measured["COPY alone"], measured["pandas to_sql"]
    return "\n".join(
        [
            "## Rows from parquet files into PostgreSQL",
            "",
            f"Measured by `benchmarks/ingestion.py`: {limit.rows:,} trips of eight columns, published months "
            "repeated under other dates; one process each, one after the other, one run.",
            "",
            f"Machine: {page.machine()}; load average before: {load:.1f}. The server runs on it, too.",
            "",
            "| | rows | s | rows/s | of COPY | times to_sql | core s a million rows | peak memory MB |",
            "|---|--:|--:|--:|--:|--:|--:|--:|",
            *(
                f"| {name} | {each.rows:,} | {each.seconds:.1f} | {each.rate:,.0f} "
                f"| {each.rate / limit.rate:.2f} | {each.rate / peer.rate:.1f} "
                f"| {each.processor / each.rows * 1e6:.1f} | {each.megabytes:.0f} |"
                for name, each in measured.items()
            ),
            "",
            "Time is from the start of the process to its end, imports and all, and ends with a count of the "
            "rows. `ingest` holds each row against the contract, fingerprints it, writes the batch's parquet "
            "file and counts once; COPY and `to_sql` do nothing of that. Core seconds are the process's own, "
            "without the server's.",
        ]
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--months", type=Path, required=True, help="A folder with months of green taxi trips."
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--scratch", type=Path, help="A folder with five gigabytes of room.")
    parser.add_argument("--side", choices=["ingest", "copy", "to_sql"], help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
