"""Requests a second and latency of one-row predictions: our endpoint and its peers, side by side.

    .venv/bin/python benchmarks/serving.py                                   # about half an hour
    .venv/bin/python benchmarks/serving.py --alone --million --write docs/serving-benchmark.md

All serve the taxi champion of MODELYARD_HOME, trained first when there is none, as one process with one
thread for numbers, and are asked the same rows. Peers get environments of their own, made on the first run.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))  # as a script it finds only what lies beside it

from benchmarks import serving_modes, serving_report, serving_surroundings  # noqa: E402
from benchmarks.serving_champion import Champion, prepare  # noqa: E402
from benchmarks.serving_load import Question, Server, need_wrk, write_bodies  # noqa: E402
from benchmarks.serving_measured import Measured, Round  # noqa: E402
from benchmarks.serving_peers import peers  # noqa: E402
from benchmarks.serving_peers.peers import Peer  # noqa: E402
from benchmarks.serving_surroundings import Surroundings  # noqa: E402

CHECKED = 20
TOLERANCE = 1e-3


def main() -> None:
    arguments = _arguments()
    need_wrk()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        champion = prepare(Path(scratch))
        with serving_surroundings.around(Path(scratch), champion.database) as around:
            text = compete(champion, around, Path(scratch), arguments)
    print(text)
    if arguments.write:
        arguments.write.write_text(text)


def compete(champion: Champion, around: Surroundings, scratch: Path, arguments: argparse.Namespace) -> str:
    """The page: all servers in turns, round by round, then our endpoint alone."""
    own = peers.ours(champion, around, peers.Mode())

    def wanted(name: str) -> bool:
        return not arguments.only or any(part.lower() in name.lower() for part in arguments.only)

    chosen = [*peers.others(champion, wanted), *([own] if wanted(own.name) else [])]
    if not chosen:
        sys.exit(f"No server has a name that contains {' or '.join(arguments.only)}; {own.name} is one.")
    bodies = {
        peer.name: write_bodies(
            scratch / "bodies" / str(number), [peer.ask(row).body for row in champion.rows]
        )
        for number, peer in enumerate(chosen)
    }
    load = os.getloadavg()[0]
    measured = {peer.name: Measured([]) for peer in chosen}
    for number in range(1, arguments.rounds + 1):
        for peer in chosen:
            print(f"Round {number} of {arguments.rounds}: {peer.name} …", file=sys.stderr)
            measured[peer.name].rounds.append(measure(peer, champion, bodies[peer.name], arguments))
    more = prove(own, champion, around) if own in chosen else []
    if arguments.alone:
        print(f"{own.name} alone …", file=sys.stderr)
        alone = serving_modes.Alone(champion, around, scratch / "alone", arguments.seconds)
        more += alone.section(arguments.rounds, million=arguments.million)
    return serving_report.render(
        chosen, champion, measured, arguments.connections, arguments.seconds, load, more
    )


def measure(peer: Peer, champion: Champion, bodies: Path, arguments: argparse.Namespace) -> Round:
    """Start a server, make sure that it answers right, warm it, and put each load on it."""
    question = peer.ask(champion.rows[0])
    with peer.serve(champion.rows[0]) as server:
        check(peer, server, champion)
        server.load(bodies, question, 8, arguments.warm)
        loads = {
            connections: server.load(bodies, question, connections, arguments.seconds)
            for connections in arguments.connections
        }
        return Round(server.seconds, server.memory(), loads)


def check(peer: Peer, server: Server, champion: Champion) -> None:
    """End when an answer is not what the pipeline predicts; a server that predicts nothing is let pass."""
    step = max(len(champion.rows) // CHECKED, 1)
    for row, expected in list(zip(champion.rows, champion.predictions, strict=True))[::step][:CHECKED]:
        answer = server.ask(peer.ask(row))
        if peer.read is None:
            continue
        came = peer.read(json.loads(answer))
        if not math.isclose(came, expected, rel_tol=0, abs_tol=TOLERANCE):
            sys.exit(
                f"{peer.name} must answer {expected} within {TOLERANCE} for {row}; it answered {answer!r}"
            )


def prove(own: Peer, champion: Champion, around: Surroundings) -> list[str]:
    """Lines that say whether our endpoint's keys and log are on, as they are said to be."""
    row = champion.rows[0]
    before, asked = around.logged(), 1_000
    with own.serve(row) as server:
        question = own.ask(row)
        nobody = Question(question.path, question.body, {"Content-Type": "application/json"})
        try:
            server.ask(nobody)
            keys = "is answered: **keys are off**"
        except (OSError, SystemExit):
            keys = "is refused"
        for _ in range(asked):
            server.ask(question)
    # The first answer, by which the server was found ready, is a prediction as well.
    logged = around.logged() - before
    off = "" if logged == asked + 1 else ": **the log is off, or loses rows**"
    return [
        f"Whoever asks {own.name} without a key {keys}. Of {asked + 1:,} predictions {logged:,} lie in "
        f"PostgreSQL once it has ended{off}.",
        "",
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds, in each of which all take turns [5]")
    parser.add_argument("--seconds", type=int, default=5, help="of each load [5]")
    parser.add_argument("--warm", type=int, default=3, help="seconds of load before anything is measured [3]")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32], help="[1 8 32]")
    parser.add_argument("--only", nargs="+", help="servers whose names contain one of these")
    parser.add_argument("--alone", action="store_true", help="then our endpoint alone: log, workers, batches")
    parser.add_argument("--million", action="store_true", help="with --alone: memory over a million requests")
    parser.add_argument("--write", type=Path, help="file for the report, beside stdout")
    return parser.parse_args()


if __name__ == "__main__":
    main()
