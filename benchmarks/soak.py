"""An endpoint under full load for a long time, one of its workers killed again and again.

    .venv/bin/python benchmarks/soak.py BENTO --minutes 10

BENTO is the folder of any Bento; its own proof has the requests and the answers that are right. wrk asks as
fast as it can, a client beside it compares each answer. It fails when an answer is wrong, a request fails
without the death of a worker, memory grows, or the database has not every prediction that was answered.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import psycopg2

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as a script it finds only what lies beside it

SCRIPT = Path(__file__).resolve().parent / "serving_peers" / "rows.lua"
CONNECTIONS = 16
WORKERS = 2
LOST_SECONDS = 1.0
"""What a killed worker may lose of the log: ten times what it promises."""
SETTLE_SECONDS = 20.0
"""Of a worker's life, in which its memory may grow."""


@dataclass
class Seen:
    """What was seen from outside."""

    seconds: float
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    broken: int = 0
    """Connections of the client that ended without an answer."""
    kills: int = 0
    wrk: dict[str, int] = field(default_factory=dict)
    memory: dict[int, list[tuple[float, float]]] = field(default_factory=dict)
    """Of each worker: seconds, MB."""
    rows: int = 0

    @property
    def answered(self) -> int:
        return self.wrk["requests"] - self.wrk["refused"] + self.statuses[200]

    @property
    def rate(self) -> float:
        return self.wrk["requests"] / self.seconds

    @property
    def growth(self) -> float | None:
        """MB a minute, of the worker that grew most once it had settled; None: none lived long enough."""
        slopes = []
        for points in self.memory.values():
            settled = [point for point in points if point[0] > points[0][0] + SETTLE_SECONDS]
            if len(settled) > SETTLE_SECONDS:
                seconds, sizes = np.array(settled).T
                slopes.append(float(np.polyfit(seconds / 60, sizes, 1)[0]))
        return max(slopes, default=None)

    @property
    def largest(self) -> float:
        """MB of the largest worker ever."""
        return max(size for points in self.memory.values() for _, size in points)

    def faults(self) -> list[str]:
        """What must not be."""
        found = [f"a wrong answer: {answer}" for answer in self.wrong[:3]]
        found += [
            f"{count} answers of {status}"
            for status, count in self.statuses.items()
            if status not in (200, 503)
        ]
        found += [f"wrk got {self.wrk['refused']} answers that were none"] * bool(self.wrk["refused"])
        for name, count, each in (("wrk", self.wrk["broken"], CONNECTIONS), ("the client", self.broken, 1)):
            if count > self.kills * each:
                found.append(f"{count} connections of {name} broke by {self.kills} deaths")
        if self.growth is not None and self.growth > 2:
            found.append(f"a worker grew by {self.growth:.1f} MB a minute")
        lost = self.answered - self.rows
        may = self.kills * LOST_SECONDS * self.rate / WORKERS
        # A worker may have noted what it could not answer any more, to each of its clients.
        if not -(self.kills + 1) * (CONNECTIONS + 1) <= lost <= may:
            found.append(
                f"{lost:,} rows are missing of {self.answered:,}; {may:,.0f} may be by {self.kills} deaths"
            )
        return found

    def table(self) -> str:
        """For people."""
        growth = "-" if self.growth is None else f"{self.growth:+.2f}"
        rows = {
            "seconds": f"{self.seconds:.0f}",
            "requests a second": f"{self.rate:,.0f}",
            "answered": f"{self.answered:,}",
            "compared, wrong": f"{self.statuses[200]:,}, {len(self.wrong)}",
            "other answers": f"{self.wrk['refused'] + self.statuses.total() - self.statuses[200]}",
            "workers killed": f"{self.kills}",
            "connections broken": f"{self.wrk['broken'] + self.broken}",
            "rows in the database": f"{self.rows:,} ({self.rows - self.answered:+,})",
            "largest worker, MB": f"{self.largest:.0f}",
            "growth of a worker, MB a minute": growth,
        }
        return "\n".join(f"| {name} | {value} |" for name, value in {"": "", "---": "---", **rows}.items())


def soak(
    bento: Path, folder: Path, url: str, around: Mapping[str, str], seconds: float, between: float
) -> Seen:
    """Load an endpoint of `bento` that logs to the database `url`; a worker dies each `between` seconds.

    Raises:
        AssertionError: it does not start, or does not end as told.
    """
    proof = json.loads((bento / "src" / "verification.json").read_text())
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    command = [
        sys.executable,
        "-m",
        "serving.process",
        str(bento),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    kept = {
        name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ") if name in os.environ
    }
    own = {"HOME": str(folder), "BENTOML_HOME": str(folder / "bentoml"), "OMP_NUM_THREADS": "1"}
    log = folder / "endpoint.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=bento / "src",
            env={**kept, **own, **around, "MODELYARD_ENDPOINT_WORKERS": str(WORKERS)},
            stderr=output,
        )
    try:
        _wait_until(lambda: _ready(port), 60, log)
        seen = _load(process, port, proof, folder, seconds, between)
        # A worker whose first seconds are not over must not look like one that cannot start.
        _wait_until(lambda: len(psutil.Process(process.pid).children()) == WORKERS, 10, log)
        process.terminate()
        assert process.wait(60) == 0, log.read_text()[-2_000:]
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text(), log.read_text()[:5_000]
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM predictions")
        seen.rows = (cursor.fetchone() or (0,))[0]
    return seen


def _load(
    process: subprocess.Popen[bytes],
    port: int,
    proof: list[Any],
    folder: Path,
    seconds: float,
    between: float,
) -> Seen:
    bodies = folder / "bodies"
    bodies.mkdir()
    for number, row in enumerate(proof, 1):
        (bodies / str(number)).write_text(json.dumps(row["request"]))
    wrk = [
        shutil.which("wrk") or "wrk",
        "-t",
        "1",
        "-c",
        str(CONNECTIONS),
        "-d",
        f"{seconds:.0f}s",
        "-s",
        str(SCRIPT),
    ]
    load = subprocess.Popen(
        [*wrk, "--latency", f"http://127.0.0.1:{port}/predict"],
        env={"BODIES": str(bodies), "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        text=True,
    )
    seen = Seen(seconds)
    done = threading.Event()
    client = threading.Thread(target=_compare, args=(port, proof, seen, done))
    client.start()
    began = killed = time.monotonic()
    try:
        while load.poll() is None:
            time.sleep(min(1.0, between / 5))
            now = time.monotonic()
            workers = sorted(psutil.Process(process.pid).children(), key=psutil.Process.create_time)
            for worker in workers:
                seen.memory.setdefault(worker.pid, []).append((now, worker.memory_info().rss / 1e6))
            # The eldest, so that each has its time; not one that is just starting, nor when the load is over.
            if now - killed > between and now - began < seconds - between / 2 and len(workers) == WORKERS:
                workers[0].send_signal(signal.SIGKILL)
                seen.kills, killed = seen.kills + 1, now
    finally:
        done.set()
        client.join()
        if load.poll() is None:
            load.kill()
    told, _ = load.communicate()
    seen.wrk = json.loads(told.splitlines()[-1])
    return seen


def _compare(port: int, proof: list[Any], seen: Seen, done: threading.Event) -> None:
    """Ask one after the other, and hold each answer against the one that is right."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    number = 0
    while not done.is_set():
        row = proof[number % len(proof)]
        number += 1
        request = row["request"]
        try:
            connection.request("POST", "/predict", json.dumps(request), {"Content-Type": "application/json"})
            answered = connection.getresponse()
            body = answered.read()
        except (OSError, http.client.HTTPException):
            seen.broken += 1
            connection.close()
            continue
        seen.statuses[answered.status] += 1
        if answered.status == 200 and not _same(json.loads(body), row["answer"]):
            seen.wrong.append(f"{request}: {body.decode()} instead of {row['answer']}")
    connection.close()


def _same(answered: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    return all(
        math.isclose(answered[name], value, rel_tol=1e-9)
        if isinstance(value, float)
        else answered[name] == value
        for name, value in right.items()
    )


def _ready(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _wait_until(holds: Any, seconds: float, log: Path) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, log.read_text()[-5_000:]
        time.sleep(0.1)


def main() -> None:
    """Soak, print a table, and end with 1 when something was not as it must be."""
    from db import embedded
    from db.migrate import upgrade
    from releases.surroundings import surroundings
    from settings import Settings

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bento", type=Path, help="The Bento's folder.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--between", type=float, default=60.0, help="Seconds between two deaths of a worker.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        home = Path(made)
        server = embedded.ensure_running(home)
        os.environ["PGPASSWORD"] = server.password.get_secret_value()
        try:
            url = f"postgresql://{server.user}@{server.host}:{server.port}/postgres"
            upgrade(url)
            around = surroundings(Settings(home=home), url, arguments.bento.parent.name)
            bento = arguments.bento.resolve()
            seen = soak(bento, home, url, around, 60 * arguments.minutes, arguments.between)
        finally:
            embedded.stop(home)
    print(seen.table())
    if faults := seen.faults():
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
