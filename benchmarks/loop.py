"""Real months played through the closed loop, untouched: does it beat the model that is never retrained?

    .venv/bin/python benchmarks/loop.py --months-from FOLDER --months 2023-11..2024-02

FOLDER holds green_tripdata_YYYY-MM.parquet as the publisher has them. `watch` runs in an empty home, and the
first month lies at its source. Then the trips of each next month are asked of the endpoint, what became of
them is told to it, and the month comes to the source. The errors of a month are those of what the endpoint
answered before any model had learnt from it, and those of the first model, had it been left to serve.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as a script it finds only what lies beside it

if TYPE_CHECKING:
    import pandas as pd

PROJECT = Path(__file__).resolve().parents[1]
USE_CASE = "taxi"
BATCH = 1_000
EVERY = "20s"


@dataclass
class Month:
    """What happened in one."""

    month: str
    trips: int = 0
    served: list[int] = field(default_factory=list)
    """Versions that answered."""
    error: float | None = None
    """Of what they answered; None of the first month, which nothing answered."""
    frozen: float | None = None
    """Of the first model."""
    verdicts: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    decision: str = ""
    reasons: list[str] = field(default_factory=list)
    gate: str = ""
    serves: int = 0
    """The version that serves after it."""


class Watch:
    """`watch` as a process, round by round."""

    def __init__(self, stdout: IO[str]) -> None:
        self._stdout = stdout

    def until(self, month: Month, file: str) -> None:
        """Take rounds in until one has decided with `file` at the source and found no more to do."""
        for line in self._stdout:
            said = json.loads(line)
            self._take(month, said)
            retrained = said["retrain"]
            if "error" in retrained:
                raise SystemExit(f"A round failed: {retrained['error']}")
            if file in retrained["evidence"]["files"]:
                month.serves = (
                    retrained["evidence"]["serving"]["version"] if retrained["evidence"]["serving"] else 0
                )
                if retrained["decision"] == "nothing":
                    return
        raise SystemExit("watch ended by itself.")

    def _take(self, month: Month, said: dict[str, Any]) -> None:
        checked, retrained = said["monitor"], said["retrain"]
        check = checked.get("check") or {}
        print(f"  {said['at']} check: {check.get('verdict') or checked.get('error')}", flush=True)
        print(f"  {said['at']} {retrained.get('decision')}: {retrained.get('reasons')}", flush=True)
        if checked.get("new"):
            month.verdicts.append(check["verdict"])
            month.findings += [finding["sentence"] for finding in check["findings"]]
        if retrained.get("decision") in ("retrain", "release"):
            month.decision, month.reasons = retrained["decision"], retrained["reasons"]
            gates = (retrained.get("training") or {}).get("gates") or []
            month.gate = next(
                (gate["reason"] for gate in gates if gate["gate"] == "champion"), "no champion before"
            )


def main() -> None:
    """Play the months."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--months-from", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--months", required=True, metavar="2023-11..2024-02")
    parser.add_argument("--options", default="", help="More options of `watch`, such as '--window 2'.")
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
    with tempfile.TemporaryDirectory() as folder:
        played = play(Path(folder), files, given.options.split())
    if given.json:
        given.json.write_text(json.dumps([asdict(month) for month in played], indent=2))
    print(table(played))


def play(folder: Path, files: dict[str, Path], options: list[str]) -> list[Month]:
    """Month after month."""
    source = folder / "trips"
    source.mkdir()
    first, *later = files
    played = [Month(first)]
    _arrive(files[first], source)
    print(first, flush=True)
    with _home(folder / "home"), _watching(source, options, folder) as watch:
        watch.until(played[0], files[first].name)
        frozen = _model(1)
        for month in later:
            print(month, flush=True)
            now = Month(month)
            _live(now, files[month], frozen)
            _arrive(files[month], source)
            watch.until(now, files[month].name)
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


def _live(month: Month, file: Path, frozen: Any) -> None:
    """Ask the endpoint about each trip of the month, and tell it what became of it."""
    import httpx
    import numpy as np

    import usecases
    from serving.rows import requests
    from usecases.files import path

    case = usecases.load(USE_CASE)
    trips = _answerable(case.clean(case.read([path(file)])).frame)
    answers: list[float] = []
    versions: set[int] = set()
    status = _run("status")
    (address,) = [one["endpoint"]["address"] for one in status["use_cases"] if one["use_case"] == USE_CASE]
    with httpx.Client(base_url=address, timeout=60, trust_env=False) as http:
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


def _arrive(file: Path, source: Path) -> None:
    """Whole or not at all, as a source should be filled."""
    draft = source / f".{file.name}"
    shutil.copyfile(file, draft)
    draft.rename(source / file.name)


def _model(version: int) -> Any:
    import settings
    from stacks import session
    from tracking import registry

    session.connect(settings.read())
    return registry.load(registry.find(USE_CASE, str(version))).model


@contextmanager
def _home(home: Path) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    os.environ |= {"MODELYARD_HOME": str(home), "MODELYARD_ENDPOINT_PORT": str(port)}
    try:
        yield
    finally:
        _run("down")


@contextmanager
def _watching(source: Path, options: list[str], folder: Path) -> Iterator[Watch]:
    command = ["watch", USE_CASE, "--source", str(source), "--every", EVERY, "--json", *options]
    with (
        (folder / "watch.log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "run.py", *command], cwd=PROJECT, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        assert process.stdout is not None
        try:
            yield Watch(process.stdout)
        finally:
            process.send_signal(signal.SIGTERM)
            print(f"watch ended with exit code {process.wait()}")


def _run(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "run.py", *arguments, "--json"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    document: dict[str, Any] = json.loads(done.stdout)
    return document


if __name__ == "__main__":
    main()
