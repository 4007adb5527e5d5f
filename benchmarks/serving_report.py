"""The page of what was measured: goals, tables, machine, versions, how it was done."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Mapping, Sequence

from benchmarks import environments, page
from benchmarks.serving_champion import Champion
from benchmarks.serving_measured import Measured
from benchmarks.serving_peers import peers
from benchmarks.serving_peers.peers import Peer

JUDGED = 8
"""Connections at which servers are compared."""
# Our rate at least so many times theirs.
GOALS = {peers.BARE: 0.7, peers.FASTAPI_COMPILED: 1.5, peers.KSERVE: 10.0, peers.MLSERVER: 10.0}
P99_MILLISECONDS = 1.0
WORKER_MEGABYTES = 200.0
START_SECONDS = 2.0

HOW = """\
- Every server runs as one worker process with `OMP_NUM_THREADS=1`, on the machine that wrk runs on, too. In
  each round every server is started, checked, warmed, measured and stopped before the next one's turn; a
  figure is the median over the rounds.
- Before it is timed, a server answers 20 rows; each answer must be what the scikit-learn pipeline predicts
  in the benchmark's own process, within 0.001.
- wrk asks 500 different rows of the validation data in turns; it builds the requests before it starts. Its
  latencies make up for requests that a slow answer kept it from sending (coordinated omission), so one long
  pause shows in p99.
- "Ready" is the time from the start of the process to its first answer to a prediction.
- CPU is user and system time of the server's processes, wrk's not counted; it says how much a core can
  answer even where wrk takes a share of the cores.
- PostgreSQL, which takes in our endpoint's log, runs on the same machine; what it uses is not counted, and
  slows the endpoint as it would elsewhere.
- Memory is resident memory after the load: of the largest process, and of all processes of the server
  together.
- FastAPI's request model is not strict, for it parses JSON before it validates; types and ranges are
  checked all the same. KServe and MLServer check nothing but the form of their protocols. MLflow checks the
  model's signature.
- KServe's SDK asks for pandas 2; it is run with pandas 3, which the model was trained with.
"""


def render(
    chosen: Sequence[Peer],
    champion: Champion,
    measured: Mapping[str, Measured],
    connections: Sequence[int],
    seconds: int,
    load: float,
    more: Sequence[str],
) -> str:
    """The page about servers side by side."""
    rounds = len(next(iter(measured.values())).rounds)
    lines = [
        "# Serving: our endpoint and its peers",
        "",
        f"Measured by `benchmarks/serving.py` on {datetime.datetime.now(datetime.UTC):%Y-%m-%d}, commit "
        f"`{_commit()}`: {rounds} rounds of {seconds} s for each number of connections.",
        "",
        f"Machine: {page.machine()}; load average before: {load:.1f}.",
        "",
        f"Model: the taxi champion, version {champion.version} ({champion.kind}, RMSE {champion.score:.2f} "
        "minutes); one row a request, the same rows for all.",
        "",
        *_goals(measured, connections),
        "## Answers a second",
        "",
        *_rates(measured, connections),
        "## Latency, milliseconds",
        "",
        *_latencies(measured, connections),
        "## Start, memory, CPU",
        "",
        *_costs(measured, connections),
        *more,
        "## Versions",
        "",
        *_versions(chosen),
        "## How",
        "",
        HOW,
    ]
    return "\n".join(lines)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table, its first column to the left, an empty line behind it."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]


def _goals(measured: Mapping[str, Measured], connections: Sequence[int]) -> list[str]:
    own = measured.get(peers.OURS)
    if own is None:
        return []
    rows = []
    if JUDGED in connections:
        for name, goal in GOALS.items():
            if name in measured:
                other = measured[name]
                ratio = own.rate(JUDGED) / other.rate(JUDGED)
                by_cpu = other.cpu(JUDGED) / own.cpu(JUDGED)
                what = f"answers a second at {JUDGED} connections, ratio to: {name}"
                rows.append([what, f"≥ {goal:g}", f"{ratio:.2f}", f"{by_cpu:.2f}", _met(ratio >= goal)])
    limits = [
        ("memory of a worker, MB", own.worker_memory, WORKER_MEGABYTES),
        ("ready, s", own.start, START_SECONDS),
    ]
    if 1 in connections:
        limits.insert(0, ("p99 at one connection, ms", own.p99(1), P99_MILLISECONDS))
    rows += [
        [what, f"< {limit:g}", f"{figure:.2f}", "", _met(figure < limit)] for what, figure, limit in limits
    ]
    return [
        "## Goals of our endpoint",
        "",
        *table(["", "goal", "measured", "by answers for a CPU second", ""], rows),
        *_floor(measured, connections),
    ]


def _floor(measured: Mapping[str, Measured], connections: Sequence[int]) -> list[str]:
    """What the machine alone makes of the latency goal, where that is more than it."""
    nothing = measured.get(peers.ECHO)
    if nothing is None or 1 not in connections or nothing.p99(1) < P99_MILLISECONDS:
        return []
    return [
        f"A server that predicts nothing has a p99 of {nothing.p99(1):.2f} ms at one connection, on this "
        "machine that the load comes from, too.",
        "",
    ]


def _rates(measured: Mapping[str, Measured], connections: Sequence[int]) -> list[str]:
    own = measured.get(peers.OURS)
    head = ["", *(_connections(count) for count in connections)]
    compare = own is not None and JUDGED in connections
    if compare:
        head.append(f"{peers.OURS} is … times as fast, {JUDGED} connections")
    rows = []
    for name, one in measured.items():
        rows.append([name, *(f"{one.rate(count):,.0f}" for count in connections)])
        if own is not None and compare:
            rows[-1].append(f"{own.rate(JUDGED) / one.rate(JUDGED):.2f}")
    return table(head, rows)


def _latencies(measured: Mapping[str, Measured], connections: Sequence[int]) -> list[str]:
    head = ["", *(f"p50 / p99, {_connections(count)}" for count in connections)]
    return table(
        head,
        [
            [name, *(f"{one.p50(count):.2f} / {one.p99(count):.2f}" for count in connections)]
            for name, one in measured.items()
        ],
    )


def _costs(measured: Mapping[str, Measured], connections: Sequence[int]) -> list[str]:
    head = ["", "ready s", "worker MB", "all processes MB"]
    head += [f"CPU s for 1,000, {_connections(count)}" for count in connections]
    rows = [
        [
            name,
            f"{one.start:.2f}",
            f"{one.worker_memory:.0f}",
            f"{one.memory:.0f}",
            *(f"{one.cpu(count):.3f}" for count in connections),
        ]
        for name, one in measured.items()
    ]
    wrong = [f"{name} {one.wrong:,}" for name, one in measured.items() if one.wrong]
    note = f"Requests that failed or were refused under load: {', '.join(wrong) or 'none'}."
    return [*table(head, rows), note, ""]


def _versions(chosen: Sequence[Peer]) -> list[str]:
    rows = []
    for peer in chosen:
        found = environments.versions(peer.python, *peer.packages)
        rows.append(
            [peer.name, peer.about, ", ".join(f"{name} {version}" for name, version in found.items())]
        )
    return table(["", "", "packages"], rows)


def _connections(count: int) -> str:
    return "1 connection" if count == 1 else f"{count} connections"


def _met(met: bool) -> str:
    return "met" if met else "**missed**"


def _commit() -> str:
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty=+changes"],  # noqa: S607
        cwd=environments.PROJECT,
        capture_output=True,
        text=True,
    )
    return asked.stdout.strip() or "unknown"
