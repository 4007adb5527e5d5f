"""Our endpoint alone: what its log costs, what a second worker gives, batches, memory in the long run."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from statistics import median

from benchmarks.serving_champion import Champion
from benchmarks.serving_load import Load, Question, Server, write_bodies
from benchmarks.serving_peers import peers
from benchmarks.serving_peers.peers import Mode
from benchmarks.serving_report import table
from benchmarks.serving_surroundings import Surroundings

CONNECTIONS = 8
BATCH = 1_000
ARROW_BATCH = 100_000
FEW = 3
"""Answers to a batch that are timed at least."""
MILLION = 1_000_000


class Alone:
    """Loads on our endpoint, which is started anew for each."""

    def __init__(self, champion: Champion, around: Surroundings, folder: Path, seconds: int) -> None:
        self._champion, self._around, self._seconds = champion, around, seconds
        asked = peers.ours(champion, around, Mode())
        self._rows = write_bodies(folder / "rows", [asked.ask(row).body for row in champion.rows])

    def section(self, rounds: int, million: bool) -> list[str]:
        """The part of the page; what this endpoint cannot do yet is said in its place."""
        parts: list[Callable[[], list[str]]] = [
            lambda: self._compare("The prediction log", [Mode(log=False), Mode()], ["off", "on"], rounds),
            lambda: self._compare("Workers", [Mode(), Mode(workers=2)], ["1", "2"], rounds),
            self._batches,
        ]
        if million:
            parts.append(self._million)
        lines = ["## Our endpoint alone", ""]
        for part in parts:
            try:
                lines += part()
            except SystemExit as problem:
                lines += [f"Left out: {str(problem).splitlines()[0]}", ""]
        return lines

    def _compare(self, title: str, modes: Sequence[Mode], names: Sequence[str], rounds: int) -> list[str]:
        loads: list[list[Load]] = [[] for _ in modes]
        memory: list[list[float]] = [[] for _ in modes]
        for _ in range(rounds):
            for number, mode in enumerate(modes):
                peer = peers.ours(self._champion, self._around, mode)
                row = self._champion.rows[0]
                with peer.serve(row) as server:
                    server.load(self._rows, peer.ask(row), CONNECTIONS, 1)
                    found = server.load(self._rows, peer.ask(row), CONNECTIONS, self._seconds)
                    loads[number].append(found)
                    memory[number].append(sum(server.memory()))
        rates = [median(load.rate for load in found) for found in loads]
        cpu = [median(load.cpu for load in found) for found in loads]
        head = [title, "answers a second", "CPU s for 1,000", "answers for a CPU second", "p99 ms", "MB"]
        rows = [
            [
                name,
                f"{rates[number]:,.0f} ({rates[number] / rates[0] - 1:+.1%})",
                f"{cpu[number]:.4f} ({cpu[number] / cpu[0] - 1:+.1%})",
                f"{1_000 / cpu[number]:,.0f}",
                f"{median(load.p99 for load in loads[number]):.2f}",
                f"{median(memory[number]):.0f}",
            ]
            for number, name in enumerate(names)
        ]
        return [f"{CONNECTIONS} connections, {rounds} rounds in turns:", "", *table(head, rows)]

    def _batches(self) -> list[str]:
        own = peers.ours(self._champion, self._around, Mode())
        headers = own.ask(self._champion.rows[0]).headers
        cases = [
            ("JSON", BATCH, self._json, "application/json"),
            ("Arrow", BATCH, self._arrow, "application/vnd.apache.arrow.stream"),
            ("Arrow", ARROW_BATCH, self._arrow, "application/vnd.apache.arrow.stream"),
        ]
        rows = []
        with own.serve(self._champion.rows[0]) as server:
            for name, count, make, kind in cases:
                question = Question("/predict_batch", make(count), {**headers, "Content-Type": kind})
                what = [name, f"{count:,}"]
                try:
                    server.ask(question)
                except (OSError, SystemExit) as problem:
                    rows.append([*what, f"not taken: {str(problem)[:100]}", "", ""])
                    continue
                before, took = server.cpu(), [self._seconds_of(server, question)]
                while len(took) < FEW or sum(took) < self._seconds:
                    took.append(self._seconds_of(server, question))
                cpu = (server.cpu() - before) / len(took) / count * 1e3
                rate = count * len(took) / sum(took)
                rows.append([*what, f"{rate:,.0f}", f"{median(took) * 1e3:.1f}", f"{cpu:.4f}"])
        head = [
            "`/predict_batch`",
            "rows in a body",
            "rows a second",
            "median of a body, ms",
            "CPU s for 1,000 rows",
        ]
        return ["One connection:", "", *table(head, rows)]

    @staticmethod
    def _seconds_of(server: Server, question: Question) -> float:
        begun = time.perf_counter()
        server.ask(question)
        return time.perf_counter() - begun

    def _million(self) -> list[str]:
        own = peers.ours(self._champion, self._around, Mode())
        question = own.ask(self._champion.rows[0])
        rows, asked = [], 0.0
        with own.serve(self._champion.rows[0]) as server:
            server.load(self._rows, question, CONNECTIONS, 3)
            while True:
                rows.append([f"{asked:,.0f}", f"{server.memory()[0]:.1f}"])
                if asked >= MILLION:
                    break
                load = server.load(self._rows, question, CONNECTIONS, 10)
                asked += load.rate * 10
        shown = [*rows[:: max(len(rows) // 8, 1)][:-1], rows[-1]]
        return ["Memory over a million requests:", "", *table(["requests", "worker MB"], shown)]

    def _json(self, count: int) -> bytes:
        return json.dumps({"rows": self._many(count)}).encode()

    def _arrow(self, count: int) -> bytes:
        import pyarrow as pa

        rows = [
            {
                name: datetime.fromisoformat(value) if isinstance(value, str) else value
                for name, value in row.items()
            }
            for row in self._many(count)
        ]
        made = pa.Table.from_pylist(rows)
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, made.schema) as stream:
            stream.write_table(made)
        return sink.getvalue()

    def _many(self, count: int) -> list[dict[str, object]]:
        rows = self._champion.rows
        return [rows[number % len(rows)] for number in range(count)]
