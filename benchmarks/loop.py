"""Real months played through the closed loop, untouched: does it beat the model that is never retrained?

    .venv/bin/python benchmarks/loop.py --months-from FOLDER --months 2023-11..2024-02
    MODELYARD_TEST_IMAGE=… .venv/bin/python benchmarks/loop.py --stack kubernetes --months-from FOLDER …

FOLDER holds green_tripdata_YYYY-MM.parquet as the publisher has them. The first month lies at the source;
`watch` runs in an empty home, or a schedule starts pods on a new platform in the cluster of kubectl. Then the
trips of each next month are asked of the endpoint, what became of them is told to it, and the month comes to
the source. The errors of a month are those of what the endpoint answered before any model had learnt from it,
and those of the first model, had it been left to serve.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as a script it finds only what lies beside it

from benchmarks.loop_month import USE_CASE, Month, Place

if TYPE_CHECKING:
    import pandas as pd

BATCH = 1_000


def main() -> None:
    """Play the months."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--months-from", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--months", required=True, metavar="2023-11..2024-02")
    parser.add_argument("--stack", choices=["local", "kubernetes"], default="local")
    parser.add_argument("--options", default="", help="More of `watch` or `schedule`: '--window=2'.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Write what happened there, too.")
    given = parser.parse_args()
    from training.months import expand

    months = expand(given.months)
    files = {month: given.months_from / f"green_tripdata_{month}.parquet" for month in months}
    missing = [str(file) for file in files.values() if not file.is_file()]
    if missing:
        parser.error(f"these files are not there: {', '.join(missing)}")
    if len(months) < 2:
        parser.error(f"the loop needs two months at least; got {given.months}")
    from benchmarks import loop_cluster, loop_local

    stack = {"local": loop_local, "kubernetes": loop_cluster}[given.stack]
    with (
        tempfile.TemporaryDirectory() as folder,
        stack.place(Path(folder), files[months[0]], given.options.split()) as place,
    ):
        played = play(place, files)
    if given.json:
        given.json.write_text(json.dumps([asdict(month) for month in played], indent=2))
    print(table(played))


def play(place: Place, files: Mapping[str, Path]) -> list[Month]:
    """Month after month."""
    first, *later = files
    played = [Month(first)]
    print(first, flush=True)
    place.until(played[0], files[first].name)
    frozen = place.model(1)
    for month in later:
        print(month, flush=True)
        now = Month(month)
        _live(now, files[month], place, frozen)
        place.arrive(files[month])
        place.until(now, files[month].name)
        played.append(now)
    return played


def table(played: list[Month]) -> str:
    """Markdown, a row for each month, and what was found and decided below."""
    lines = [
        "| month | trips | served by | error | first model's | beside it | checks | decision | serves then |",
        "|---|--:|--:|--:|--:|--:|---|---|--:|",
    ]
    for month in played:
        versions = ", ".join(map(str, month.served)) or "none"
        checks = ", ".join(month.verdicts)
        cells = [
            month.month,
            f"{month.trips:,}",
            versions,
            *_errors(month),
            checks,
            month.decision,
            month.serves,
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    for month in played:
        said = [*month.findings, *month.reasons, month.gate]
        lines += ["", month.month, *(f"- {each}" for each in said)]
    return "\n".join(lines)


def _errors(month: Month) -> list[str]:
    if month.error is None or month.frozen is None:
        return ["", "", ""]
    return [f"{month.error:.3f}", f"{month.frozen:.3f}", f"{month.error / month.frozen - 1:+.1%}"]


def _live(month: Month, file: Path, place: Place, frozen: Any) -> None:
    """Ask the endpoint about each trip of the month, and tell it what became of it."""
    import numpy as np

    import usecases
    from serving.rows import requests
    from usecases.files import path

    case = usecases.load(USE_CASE)
    trips = _answerable(case.clean(case.read([path(file)])).frame)
    answers: list[float] = []
    versions: set[int] = set()
    with place.endpoint() as http:
        for start in range(0, len(trips), BATCH):
            part = trips.iloc[start : start + BATCH]
            name = f"{month.month}-{start}"
            answer = http.post(
                "/predict_batch",
                json={"rows": requests(case.contract, part[case.request_columns])},
                headers={"X-Request-ID": name},
            )
            answer.raise_for_status()
            body = answer.json()
            answers += [each[case.contract.prediction_field] for each in body["predictions"]]
            versions.add(body["model_version"])
            told = [
                {"request_id": name, "row": row, "value": float(value)}
                for row, value in enumerate(part[case.target])
            ]
            http.post("/outcomes", json={"outcomes": told}).raise_for_status()
    truth = trips[case.target].to_numpy(dtype=float)
    month.trips, month.served = len(trips), sorted(versions)
    month.error = float(case.metric.score(truth, np.array(answers)))
    month.frozen = float(case.metric.score(truth, case.predict(frozen, trips)))


def _answerable(trips: pd.DataFrame) -> pd.DataFrame:
    """Without those that an endpoint refuses."""
    from usecases.taxi.contract import MAX_MILES

    return trips[trips["trip_distance"] <= MAX_MILES].reset_index(drop=True)


if __name__ == "__main__":
    main()
