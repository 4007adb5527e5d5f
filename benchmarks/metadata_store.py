"""How fast ZenML's metadata store is on SQLite, on PostgreSQL and on MariaDB, side by side.

    .venv/bin/python benchmarks/metadata_store.py                                  # 5 rounds at 20,000 runs
    .venv/bin/python benchmarks/metadata_store.py --runs 300 --rounds 1 --turns 1  # to try it

Clients are processes that use ZenML's own client on the store, without a server in between: one alone, then
eight at once. They record runs in an empty store, then in one with many runs, which are listed, filtered and
deleted. In each round the databases take turns. The table goes to stdout and docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))  # as a script it finds only what lies beside it

from benchmarks import databases, page  # noqa: E402

CLIENTS = 8
# What counts as no slower, below which a line is marked.
GOAL = 0.9

Times = dict[str, list[float]]


@dataclass
class Store:
    """A database, its clients, and what was measured: by section and operation, a figure for each round."""

    name: str
    url: str
    clients: list[Connection]
    measured: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))

    def do(self, task: str, *arguments: Any) -> Any:
        """Have the first client do something."""
        return self.all([(task, *arguments)])[0]

    def all(self, tasks: list[tuple[Any, ...]]) -> list[Any]:
        """Have one client for each task do it, all at once; their results."""
        busy = list(zip(self.clients, tasks, strict=False))
        for client, task in busy:
            client.send(task)
        return [self.received(client) for client, _ in busy]

    def received(self, client: Connection) -> Any:
        """What a client has to say once it is done."""
        result = client.recv()
        if isinstance(result, str):
            sys.exit(f"{self.name}:\n{result}")
        return result

    def note(self, section: str, times: Times) -> None:
        """Note a round: the median of each operation in it, in milliseconds."""
        for operation, seconds in times.items():
            self.measured[section, operation].append(1000 * statistics.median(seconds))


def main() -> None:
    arguments = _arguments()
    load = os.getloadavg()[0]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch, _stores(Path(scratch)) as stores:
        _say(f"{', '.join(store.name for store in stores)}: recording runs in empty stores …")
        for number in range(arguments.rounds):
            for store in _in_turn(stores, number):
                record(store, "empty", number, arguments.turns)
        _say(f"Filling them with {arguments.runs} runs …")
        for store in stores:
            store.clients[0].send(("fill", arguments.runs))
        for store in stores:
            store.received(store.clients[0])
        for store in stores:
            store.do("gather_statistics")
            store.do("ask", arguments.runs, 1)
        _say("Asking, recording and deleting …")
        for number in range(arguments.rounds):
            for store in _in_turn(stores, number):
                store.note("asked", store.do("ask", arguments.runs, arguments.times_each))
                store.note("deleted", store.do("delete", 10 * number, 5))
        for number in range(arguments.rounds):
            for store in _in_turn(stores, number):
                record(store, "filled", number, arguments.turns)
    section = report(stores, arguments, load)
    print(section)
    _say(f"Took {time.monotonic() - begun:.0f} s.")
    page.write("benchmarks/metadata_store.py", section)


def record(store: Store, when: str, number: int, turns: int) -> None:
    """A round of recording runs: one client alone, then all at once, as many runs for each."""
    times = store.do("work", f"{when} {number} alone", turns)
    store.note(when, times)
    store.measured[when, "1 client"].append(_per_second([times], sum(map(sum, times.values()))))
    tasks = [("work", f"{when} {number} {client}", turns) for client in range(CLIENTS)]
    begun = time.perf_counter()
    done = store.all(tasks)
    seconds = time.perf_counter() - begun
    store.measured[when, f"{CLIENTS} clients"].append(_per_second(done, seconds))


def report(stores: list[Store], arguments: argparse.Namespace, load: float) -> str:
    """The section for the page: the machine and a table for each part."""
    ours = next(store for store in stores if store.name == "PostgreSQL")
    titles = {
        "empty": "Recording runs in an empty store",
        "filled": f"Recording runs where {arguments.runs:,} runs are",
        "asked": f"Asking about {arguments.runs:,} runs",
        "deleted": f"Deleting of {arguments.runs:,} runs",
    }
    lines = [
        "## ZenML's metadata store: PostgreSQL, SQLite, MariaDB",
        "",
        f"Measured by `benchmarks/metadata_store.py`: medians of {arguments.rounds} rounds, in which the "
        "databases take turns. Ratios are to the faster of the others: above 1 PostgreSQL is faster; "
        f"what is below {GOAL} is marked.",
        "",
        f"Machine: {page.machine()}; load average before: {load:.1f}.",
    ]
    sections: dict[str, list[str]] = defaultdict(list)
    for section, operation in ours.measured:
        sections[section].append(operation)
    for section, operations in sections.items():
        lines += ["", f"### {titles[section]}", ""]
        lines.append("| | " + " | ".join(store.name for store in stores) + " | ratio |")
        lines.append("|---|" + "--:|" * (len(stores) + 1))
        for operation in operations:
            faster_is_more = operation.endswith(("client", "clients"))
            unit = "operations/s" if faster_is_more else "ms"
            figures = {s.name: statistics.median(s.measured[section, operation]) for s in stores}
            others = [figure for name, figure in figures.items() if name != ours.name]
            mine = figures[ours.name]
            ratio = mine / max(others) if faster_is_more else min(others) / mine
            mark = " ▼" if ratio < GOAL else ""
            cells = " | ".join(f"{figures[store.name]:.1f}" for store in stores)
            lines.append(f"| {operation}, {unit} | {cells} | {ratio:.2f}{mark} |")
    return "\n".join(lines)


@contextmanager
def _stores(scratch: Path) -> Iterator[list[Store]]:
    """Every database that is here, with its clients waiting."""
    makers = {"SQLite": databases.sqlite, "PostgreSQL": databases.postgresql}
    if databases.has_mariadb():
        makers["MariaDB"] = databases.mariadb
    else:
        _say("MariaDB is left out: its server (Debian: mariadb-server) is not installed.")
    # MariaDB's and PostgreSQL's own users must get through.
    scratch.chmod(0o755)
    with ExitStack() as stack:
        urls = {}
        for name, make in makers.items():
            folder = scratch / name
            folder.mkdir()
            urls[name] = stack.enter_context(make(folder))
        yield [
            Store(name, url, stack.enter_context(_clients(url, scratch / f"{name} clients")))
            for name, url in urls.items()
        ]


@contextmanager
def _clients(url: str, folder: Path) -> Iterator[list[Connection]]:
    """Pipes to the client processes of a store, whose tables are made and which has a first run."""
    _import_zenml(folder.parent)
    fork = multiprocessing.get_context("fork")
    pipes = [fork.Pipe() for _ in range(CLIENTS)]
    first = fork.Process(target=_open, args=([there for _, there in pipes], url, folder))
    first.start()
    ours = [here for here, _ in pipes]
    ours[0].recv()
    yield ours
    for pipe in ours:
        pipe.send(None)
    first.join()


def _open(pipes: list[Connection], url: str, folder: Path) -> None:
    """The first client process. The others are forked from it, so that its compiled statements are theirs."""
    os.environ["ZENML_CONFIG_PATH"] = str(folder)
    from benchmarks import metadata_load as load

    client = load.open_client(url)
    load.prepare(client)
    load.work(client, "warm", 2)
    store: Any = client.zen_store
    store.engine.dispose()  # no two processes may share a connection
    fork = multiprocessing.get_context("fork")
    others = [fork.Process(target=_serve, args=(pipe, client)) for pipe in pipes[1:]]
    for other in others:
        other.start()
    pipes[0].send("ready")
    _serve(pipes[0], client)
    for other in others:
        other.join()


def _serve(pipe: Connection, client: Any) -> None:
    """Do what comes through the pipe until nothing more comes."""
    from benchmarks import metadata_load as load

    while task := pipe.recv():
        name, *arguments = task
        try:
            pipe.send(getattr(load, name)(client, *arguments))
        except Exception:  # noqa: BLE001 - the process at the other end says it and ends
            pipe.send(traceback.format_exc())


def _import_zenml(folder: Path) -> None:
    for name in [name for name in os.environ if name.startswith("ZENML_")]:
        del os.environ[name]
    os.environ |= {
        "ZENML_CONFIG_PATH": str(folder / "config"),
        "ZENML_CUSTOM_SOURCE_ROOT": str(PROJECT),
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_LOGGING_VERBOSITY": "ERROR",
        "ZENML_ENABLE_RICH_TRACEBACK": "false",
        "OMP_NUM_THREADS": "1",
    }
    importlib.import_module("benchmarks.metadata_load")


def _per_second(done: list[Times], seconds: float) -> float:
    return sum(len(each) for times in done for each in times.values()) / seconds


def _in_turn(stores: list[Store], number: int) -> list[Store]:
    """All, beginning with another one in each round."""
    first = number % len(stores)
    return stores[first:] + stores[:first]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=20_000, help="runs to fill the stores with [20000]")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, whose median counts [5]")
    parser.add_argument("--turns", type=int, default=3, help="runs that each client records in a round [3]")
    parser.add_argument("--times-each", type=int, default=1, help="times that a round asks each question [1]")
    return parser.parse_args()


if __name__ == "__main__":
    main()
