"""How often checks of a served model ask for retraining: where nothing happened, and where something did.

    .venv/bin/python benchmarks/drift.py FOLDER             # of green_tripdata_YYYY-MM.parquet, three or more
    .venv/bin/python benchmarks/drift.py FOLDER --write     # puts the tables into docs/drift.md

The model learns from the first month, as `train taxi` would, and is judged by the second; rows of that and of
later months stand for what an endpoint is asked. Nothing is served, and no database is needed.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # two processes share the cores

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as a script it finds only what lies beside it

import usecases
from benchmarks import drift_report
from benchmarks.drift_shifts import INPUTS, MIXES, OUTCOMES
from monitoring.check import Check
from monitoring.comparison import Current, Reference, compare
from monitoring.performance import PREDICTION
from training.search import fit
from usecases.taxi.cleaning import PICKUP

SIZES = (500, 2_000, 10_000)
REFERENCE = 20_000
SINCE, UNTIL = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 8, tzinfo=UTC)
# scikit-learn's metric without its checks of what it is given, which would take most of the time.
TAXI = usecases.load("taxi")
TAXI = replace(
    TAXI,
    metric=replace(
        TAXI.metric, score=lambda truth, predictions: float(np.sqrt(np.mean((truth - predictions) ** 2)))
    ),
)
SHIFTS = {shift.name: shift for shift in (*INPUTS, *OUTCOMES, *MIXES)}
CANDIDATE = "gradient_boosting"


@dataclass
class Trips:
    """The model and what it predicted; filled before the workers are forked."""

    model: Any = None
    months: dict[str, pd.DataFrame] = field(default_factory=dict)
    """Those that it did not learn from, in their order."""
    shifted: dict[str, pd.DataFrame] = field(default_factory=dict)
    """The first of them, changed as a whole."""


TRIPS = Trips()


def main() -> None:
    arguments = _arguments()
    begin, load = time.perf_counter(), os.getloadavg()[0]
    learnt = prepare(arguments.folder)
    judged = list(TRIPS.months)
    pool = ProcessPoolExecutor(arguments.processes, mp_context=multiprocessing.get_context("fork"))
    with pool:

        def checks(make: Callable[..., Any], *given: Any, count: int) -> list[Any]:
            return [pool.submit(make, *given, seed) for seed in range(count)]

        quiet = {
            (how, size): checks(make, size, count=arguments.quiet)
            for size in SIZES
            for how, make in (("rows", independent), ("days", put_together))
        }
        moved = {
            (shift.name, size): checks(shifted, shift.name, size, count=arguments.moved)
            for shift in (*INPUTS, *OUTCOMES)
            for size in SIZES
        }
        weeks = [
            (month, day, pool.submit(some_days, month, day, 7))
            for month in judged[1:]
            for day in range(1, days_of(month) - 5)
        ]
        single = [
            (month, pool.submit(some_days, month, day, 1))
            for month in judged[1:]
            for day in range(1, days_of(month) + 1)
        ]
        whole = [(month, pool.submit(month_after, month)) for month in judged[1:]]
        guessed = {shift.name: checks(mixed, shift.name, count=arguments.guessed) for shift in MIXES}
        text = drift_report.render(
            learnt,
            judged,
            {key: [one.result() for one in found] for key, found in quiet.items()},
            {key: [one.result() for one in found] for key, found in moved.items()},
            [(month, found.result()) for month, found in whole],
            [(f"{month}-{day:02}", found.result()) for month, day, found in weeks],
            [(month, found.result()) for month, found in single],
            {key: [one.result() for one in found] for key, found in guessed.items()},
            lambda: time.perf_counter() - begin,
            load,
        )
    print(text)
    if arguments.write:
        drift_report.write(text)


def prepare(folder: str) -> str:
    """Fit the model on the first month and predict the others; which month that was."""
    with tempfile.TemporaryDirectory() as cache:
        files = TAXI.locate(folder, None, Path(cache))
    months = {}
    for path in files:
        month = path.stem.removeprefix("green_tripdata_")
        rows = TAXI.clean(TAXI.read([path])).frame
        # Files have a few trips of other months.
        months[month] = rows[rows[PICKUP].dt.strftime("%Y-%m") == month].reset_index(drop=True)
    if len(months) < 3:
        sys.exit(f"{folder} must have three months or more, one to learn from; it has {', '.join(months)}.")
    first, *others = months
    candidate = TAXI.candidate(CANDIDATE)
    TRIPS.model = fit(TAXI, candidate, candidate.defaults, months[first], seed=1)
    TRIPS.months = {month: predicted(months[month]) for month in others}
    judged = TRIPS.months[others[0]]
    for shift in (*INPUTS, *OUTCOMES):
        changed = shift.change(judged, np.random.default_rng(0))
        TRIPS.shifted[shift.name] = changed if shift.outcomes else predicted(changed)
    return first


def predicted(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(**{PREDICTION: TAXI.predict(TRIPS.model, rows[TAXI.request_columns])})


def check(before: pd.DataFrame, now: pd.DataFrame, *, outcomes: bool = True, estimate: bool = False) -> Check:
    known = now if outcomes else now.iloc[:0]
    current = Current(now, len(now), known, len(known))
    return compare(TAXI, Reference(1, before), current, SINCE, UNTIL, estimate=estimate)


def independent(size: int, seed: int) -> Check:
    """Rows of a month beside other rows of the same month, all drawn at random."""
    before, now = _halves(size, seed)
    return check(before, now)


def put_together(size: int, seed: int) -> Check:
    """Rows of a week made of days of a month, one of each weekday, beside rows of the month's other days."""
    rng = np.random.default_rng(seed)
    rows = _month(seed)
    days = rows[PICKUP].dt.floor("D")
    there = pd.Series(days.unique())
    chosen = [rng.choice(of_weekday) for _, of_weekday in there.groupby(there.dt.day_of_week)]
    in_week = days.isin(chosen)
    return check(_draw(rows[~in_week], REFERENCE, rng), _draw(rows[in_week], size, rng))


def shifted(name: str, size: int, seed: int) -> Check:
    """Rows of the month that the model was judged by, changed, beside others of it that were not."""
    rows = next(iter(TRIPS.months.values()))
    drawn = np.random.default_rng(seed).permutation(len(rows))[: REFERENCE + size]
    before, now = rows.iloc[drawn[:REFERENCE]], TRIPS.shifted[name].iloc[drawn[REFERENCE:]]
    return check(before, now, outcomes=SHIFTS[name].outcomes)


def mixed(name: str, seed: int) -> Check:
    """Rows drawn from a month so that some kinds are more frequent: the outcomes are real."""
    before, now = _halves(SIZES[-1], seed)
    return check(before, SHIFTS[name].change(now, np.random.default_rng(seed)), estimate=True)


def some_days(month: str, day: int, days: int) -> Check:
    """So many days from `day` on beside the month that the model was judged by."""
    rows = TRIPS.months[month]
    chosen = rows[rows[PICKUP].dt.day.between(day, day + days - 1)]
    # The weeks that share no day say what estimates are worth.
    estimate = days == 7 and day % 7 == 1
    return check(_reference(), _draw(chosen, SIZES[-1], np.random.default_rng(day)), estimate=estimate)


def month_after(month: str) -> Check:
    """A month beside the one that the model was judged by."""
    return check(_reference(), TRIPS.months[month], estimate=True)


def days_of(month: str) -> int:
    return int(TRIPS.months[month][PICKUP].dt.day.max())


def _month(seed: int) -> pd.DataFrame:
    """The months in turns."""
    return list(TRIPS.months.values())[seed % len(TRIPS.months)]


def _reference() -> pd.DataFrame:
    return _draw(next(iter(TRIPS.months.values())), REFERENCE, np.random.default_rng(0))


def _halves(size: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    drawn = _draw(_month(seed), REFERENCE + size, np.random.default_rng(seed))
    return drawn.iloc[:REFERENCE], drawn.iloc[REFERENCE:]


def _draw(rows: pd.DataFrame, size: int, rng: np.random.Generator) -> pd.DataFrame:
    return rows.iloc[rng.permutation(len(rows))[:size]].reset_index(drop=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", help="with green_tripdata_YYYY-MM.parquet of three months or more")
    parser.add_argument(
        "--quiet", type=int, default=200, help="checks of each kind where nothing happened [200]"
    )
    parser.add_argument("--moved", type=int, default=50, help="checks of each change [50]")
    parser.add_argument("--guessed", type=int, default=10, help="checks of each change of the mix [10]")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="at once [one a core]")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/drift.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
