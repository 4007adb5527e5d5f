"""How long the hello world takes as a whole process, ours and Mage's side by side.

    .venv/bin/python benchmarks/pipelines.py

Both run the same three steps on the same passenger list: `load_titanic → fill_in_missing_values →
export_titanic_clean`. Each side is run once to warm it, then the two take turns; what they wrote is compared.
Mage gets an environment of its own, made on the first run. The table goes to stdout and docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))  # as a script it finds only what lies beside it

from benchmarks import environments, page  # noqa: E402

PASSENGERS = PROJECT / "usecases" / "titanic" / "data" / "titanic.csv"
MAGE_VERSION = "0.9.80"


@dataclass(frozen=True)
class Contestant:
    """A command to measure, and the CSV file that it writes."""

    name: str
    command: list[str]
    environment: dict[str, str]
    folder: Path
    written: Path


@dataclass(frozen=True)
class Measured:
    """One whole process."""

    seconds: float
    megabytes: float
    """Peak resident memory of the process, or of its largest child where that is more."""


def main() -> None:
    arguments = _arguments()
    mage = environments.make(arguments.environments / "mage", [f"mage-ai=={MAGE_VERSION}"]).with_name("mage")
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        home = Path(scratch) / "modelyard"
        contestants = [modelyard(home), mage_project(mage, Path(scratch) / "mage")]
        try:
            load = os.getloadavg()[0]
            measured = compete(contestants, arguments.runs)
            rows = compare([contestant.written for contestant in contestants])
        finally:
            stop_server(home)
    section = report(measured, rows, load)
    print(section)
    page.write("benchmarks/pipelines.py", section)


def compete(contestants: list[Contestant], runs: int) -> dict[str, list[Measured]]:
    """Warm each once, then measure in turns, so that what else the machine does strikes both."""
    for contestant in contestants:
        measure(contestant)
    measured: dict[str, list[Measured]] = {contestant.name: [] for contestant in contestants}
    for _ in range(runs):
        for contestant in contestants:
            measured[contestant.name].append(measure(contestant))
    return measured


def measure(contestant: Contestant) -> Measured:
    """Run the command once, from before its start until it was waited for."""
    contestant.written.unlink(missing_ok=True)
    with tempfile.TemporaryFile("w+") as output:
        begun = time.perf_counter()
        process = subprocess.Popen(
            contestant.command,
            cwd=contestant.folder,
            env=contestant.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        # The kernel's own account of this one process; RUSAGE_CHILDREN would give the largest so far.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0 or not contestant.written.is_file():
            output.seek(0)
            sys.exit(f"{contestant.name} ended with {process.returncode}:\n{output.read()[-4000:]}")
    kilobyte = 1 if sys.platform == "darwin" else 1024
    return Measured(seconds, usage.ru_maxrss * kilobyte / 1e6)


def modelyard(home: Path) -> Contestant:
    """Our own hello world, on an empty home folder of its own."""
    home.mkdir()
    return Contestant(
        name="Modelyard",
        command=[sys.executable, "run.py", "example_pipeline"],
        environment=_environment(MODELYARD_HOME=str(home)),
        folder=PROJECT,
        written=home / "example_pipeline" / "titanic_clean.csv",
    )


def stop_server(home: Path) -> None:
    """Stop the embedded PostgreSQL of our side: a daemon that would outlive its folder."""
    from db import embedded

    embedded.stop(home)


def mage_project(mage: Path, folder: Path) -> Contestant:
    """The project that `mage init` makes; its loader reads the bundled list in place of a download."""
    folder.mkdir()
    environment = _environment(HOME=str(folder), MAGE_DATA_DIR=str(folder / "data"))
    subprocess.run(
        [mage, "init", "project"], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL
    )
    project = folder / "project"
    _rewrite(project / "data_loaders" / "load_titanic.py", "url = ", f"url = {str(PASSENGERS)!r}")
    _rewrite(project / "metadata.yaml", "help_improve_mage:", "help_improve_mage: false")
    return Contestant(
        name=f"Mage {MAGE_VERSION}",
        command=[str(mage), "run", "project", "example_pipeline"],
        environment=environment,
        folder=folder,
        written=folder / "titanic_clean.csv",
    )


def compare(files: list[Path]) -> int:
    """The number of rows that every file has; their values must be the same, too."""
    tables = [_values(file) for file in files]
    lengths = [len(table) for table in tables]
    assert len(set(lengths)) == 1, f"The CSV files must have the same number of rows; got {lengths}."
    assert all(table == tables[0] for table in tables), "The CSV files must have the same values."
    return lengths[0]


def report(measured: dict[str, list[Measured]], rows: int, load: float) -> str:
    """The section for the page: the machine, the table, what it means."""
    runs = len(next(iter(measured.values())))
    lines = [
        "## The hello world: three steps as a whole process",
        "",
        f"Measured by `benchmarks/pipelines.py`: {runs} runs each, in turns, after one to warm up; "
        f"both wrote the same {rows} rows.",
        "",
        f"Machine: {page.machine()}; load average before: {load:.1f}.",
        "",
        "| | min s | median s | max s | peak memory MB | time, ratio to the last | memory, ratio |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    reference = list(measured.values())[-1]
    for name, results in measured.items():
        seconds = [result.seconds for result in results]
        memory = max(result.megabytes for result in results)
        lines.append(
            f"| {name} | {min(seconds):.2f} | {statistics.median(seconds):.2f} | {max(seconds):.2f} "
            f"| {memory:.0f} | {statistics.median(seconds) / _median(reference):.2f} "
            f"| {memory / max(result.megabytes for result in reference):.2f} |"
        )
    return "\n".join(
        [
            *lines,
            "",
            "Time is from the start of the process to its end, imports and all; the ratio is of medians, "
            "below 1 is faster. Memory is the kernel's peak for the process.",
            "",
            "What each does beside the three steps: Modelyard records the run, its steps and artifacts in "
            "PostgreSQL, whose server stays running between commands and is not counted in the memory; "
            "`mage run` records no run, and writes each block's output with statistics into files.",
        ]
    )


def _median(results: list[Measured]) -> float:
    return statistics.median(result.seconds for result in results)


def _values(file: Path) -> list[tuple[float, ...]]:
    with file.open(newline="") as opened:
        # A column without a name is the index, which Mage writes and we don't.
        rows = list(csv.DictReader(opened))
    return [tuple(float(row[key]) for key in sorted(row) if key) for row in rows]


def _environment(**additions: str) -> dict[str, str]:
    """This process's environment, with bytecode allowed and none of the settings that were meant for it."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if key != "PYTHONDONTWRITEBYTECODE" and not key.startswith(("MODELYARD_", "ZENML_", "MLFLOW_"))
    }
    return kept | additions


def _rewrite(file: Path, beginning: str, replacement: str) -> None:
    """Replace the one line that begins so, whatever its indent."""
    lines = file.read_text().splitlines()
    found = [number for number, line in enumerate(lines) if line.lstrip().startswith(beginning)]
    assert len(found) == 1, (
        f"{file.name} must have one line that begins with {beginning!r}; got {len(found)}."
    )
    line = lines[found[0]]
    lines[found[0]] = line[: len(line) - len(line.lstrip())] + replacement
    file.write_text("\n".join(lines) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="measured runs of each side [5]")
    parser.add_argument(
        "--environments",
        type=Path,
        default=environments.FOLDER,
        help="folder for the others' environments [benchmarks/.environments]",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
