"""How fast a stream scores, and how soon: beside the same events asked one by one at the endpoint.

    .venv/bin/python -m benchmarks.streaming

It needs Java, and a home in which taxi serves (`python run.py`), whose log it fills; it writes its section of
docs/benchmarks.md. Its broker, PostgreSQL and what sends run on the same machine as the workers.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
import psycopg2

import settings
import usecases
from benchmarks import page
from benchmarks.share import held
from db import releases
from db.databases import prepare
from serving import rows
from tests import kafka
from tests.integration.streaming.place import wait_for

EVENTS = 200_000
"""Of a throughput; those that the first and the last fifth hold are not timed."""
ROUNDS = 3
RATE, RATE_SECONDS, WARM_SECONDS = 2_000, 60, 10
SINGLE = 5_000
PARTITIONS = 4
SHARE = 0.35
"""Of a CPU, for each worker where it is asked what a second one adds: broker, PostgreSQL and sender then have
room beside both."""
PROJECT = Path(__file__).resolve().parents[1]
TOPICS = ("requests", "outcomes", "predictions", "refused")


@dataclass(frozen=True)
class Throughput:
    """Of all workers together."""

    per_second: float
    per_cpu_second: float


def main() -> None:
    """Measure, print and write the section."""
    read = settings.read()
    url = prepare(read).modelyard
    serving = releases.serving(url, "taxi", "local")
    assert serving is not None, "Nothing of taxi serves: python run.py"
    bodies = _bodies()
    with tempfile.TemporaryDirectory() as folder, kafka.serving(Path(folder)) as broker:
        # First, as millions of fresh rows are tidied up for minutes. A round before them is not counted: the
        # broker's JVM compiles what it runs, and for that takes a CPU of its own.
        delays = [_delays(broker, url, bodies) for _ in range(1 + ROUNDS)][1:]
        single = [_one_by_one(str(serving.address), bodies) for _ in range(ROUNDS)]
        found = {
            workers: [_throughput(broker, url, bodies, workers) for _ in range(ROUNDS)] for workers in (1, 2)
        }
        limited = {
            workers: [_throughput(broker, url, bodies, workers, SHARE) for _ in range(ROUNDS)]
            for workers in (1, 2)
        }
    text = _section(single, found, limited, delays)
    page.write("streaming.py", text)
    print(text)


def _bodies() -> list[bytes]:
    case = usecases.load("taxi")
    frame = case.clean(case.read(case.locate("sample", None, Path()))).frame
    frame = frame[frame["trip_distance"] <= 100]
    return [json.dumps(request).encode() for request in rows.requests(case.contract, frame)]


def _one_by_one(address: str, bodies: Sequence[bytes]) -> float:
    """Requests a second of one client that waits for each answer, on one connection."""
    with closing(http.client.HTTPConnection(urlsplit(address).netloc)) as connection:
        began = time.perf_counter()
        for number in range(SINGLE):
            headers = {"content-type": "application/json"}
            connection.request("POST", "/predict", bodies[number % len(bodies)], headers)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()
        return SINGLE / (time.perf_counter() - began)


def _throughput(
    broker: kafka.Broker, url: str, bodies: Sequence[bytes], workers: int, share: float | None = None
) -> Throughput:
    """Of workers that find all events there, each held to a `share` of a CPU."""
    prefix = _topics(broker)
    _send(broker, prefix, bodies, EVENTS)
    with _workers(broker, prefix, workers, share) as processes:
        wait_for(lambda: _done(url, prefix) > EVENTS / 5, "a fifth", 120)
        first, cpu, began = _done(url, prefix), _cpu(processes), time.perf_counter()
        wait_for(lambda: _done(url, prefix) > EVENTS * 4 / 5, "four fifths", 300)
        count, seconds = _done(url, prefix) - first, time.perf_counter() - began
        return Throughput(count / seconds, count / (_cpu(processes) - cpu))


def _delays(broker: kafka.Broker, url: str, bodies: Sequence[bytes]) -> np.ndarray:
    """Seconds from an event's sending to its prediction in the hands of who waits for it."""
    from confluent_kafka import Consumer, Producer

    prefix = _topics(broker)
    sent: dict[bytes, float] = {}
    came: dict[bytes, float] = {}
    consumer = Consumer(
        {"bootstrap.servers": broker.address, "group.id": prefix, "auto.offset.reset": "earliest"}
        | {"fetch.wait.max.ms": 5}
    )
    consumer.subscribe([f"{prefix}.predictions"])
    total, warm = RATE * RATE_SECONDS, RATE * WARM_SECONDS

    def listen() -> None:
        deadline = time.monotonic() + RATE_SECONDS + 60
        while len(came) < total + warm and time.monotonic() < deadline:
            for message in consumer.consume(500, 0.01):
                came[message.key() or b""] = time.time()

    with _workers(broker, prefix, 1), closing(consumer):
        listener = threading.Thread(target=listen)
        listener.start()
        producer = Producer({"bootstrap.servers": broker.address, "linger.ms": 1})
        wait_for(lambda: _assigned(url, prefix), "the worker")
        began = time.monotonic()
        for number in range(total + warm):
            while (left := number / RATE - (time.monotonic() - began)) > 0:
                producer.poll(0)
                time.sleep(min(left, 0.001))
            key = f"{prefix}-{number}".encode()
            sent[key] = time.time()
            producer.produce(f"{prefix}.requests", bodies[number % len(bodies)], key)
        producer.flush(30)
        listener.join()
    assert len(came) == total + warm, f"{len(came)} of {total + warm} answers came"
    return np.array([came[key] - sent[key] for key in list(sent)[warm:]])


def _topics(broker: kafka.Broker) -> str:
    prefix = f"bench-{secrets.token_hex(4)}"
    for name in TOPICS:
        broker.topic(f"{prefix}.{name}", PARTITIONS)
    return prefix


def _send(broker: kafka.Broker, prefix: str, bodies: Sequence[bytes], count: int) -> None:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": broker.address, "queue.buffering.max.messages": count})
    for number in range(count):
        producer.produce(f"{prefix}.requests", bodies[number % len(bodies)], f"{prefix}-{number}")
    assert producer.flush(120) == 0


@contextmanager
def _workers(
    broker: kafka.Broker, prefix: str, count: int, share: float | None = None
) -> Iterator[list[psutil.Process]]:
    named = [word for name in TOPICS for word in (f"--{name}", f"{prefix}.{name}")]
    command = [sys.executable, "run.py", "stream", "taxi", "--group", prefix, "--metrics-port", "0", *named]
    around = os.environ | {"MODELYARD_KAFKA": broker.address}
    with held(share, count) if share else nullcontext([None] * count) as beginnings:
        processes = [
            subprocess.Popen(
                command,
                cwd=PROJECT,
                env=around,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                preexec_fn=begin,
            )
            for begin in beginnings
        ]
        try:
            yield [psutil.Process(process.pid) for process in processes]
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(60)


def _cpu(processes: Sequence[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


def _done(url: str, prefix: str) -> int:
    return int(
        _ask(url, "SELECT coalesce(sum(next_offset), 0) FROM stream_places WHERE consumers = %s", prefix)
    )


def _assigned(url: str, prefix: str) -> bool:
    return int(_ask(url, "SELECT count(*) FROM stream_places WHERE consumers = %s", prefix)) > 0


def _ask(url: str, statement: str, prefix: str) -> int:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement, (prefix,))
        ((found,),) = cursor.fetchall()
        return int(found)


Rounds = dict[int, list[Throughput]]


def _section(single: Sequence[float], found: Rounds, limited: Rounds, delays: Sequence[np.ndarray]) -> str:
    one_by_one = statistics.median(single)
    lines = [
        "## Streams",
        "",
        "Taxi's champion, real trips, every prediction in PostgreSQL and in a topic. Broker, PostgreSQL,",
        f"sender and workers share {page.machine()}: the median of {ROUNDS} rounds, and the",
        "range. One by one: one client on one connection that waits for each answer. The load average at the",
        f"end was {os.getloadavg()[0]:.0f}: what is above the number of CPUs is other work, and waited for.",
        "",
        "| | events a second | range | times one by one | events per second of the workers' CPU |",
        "|---|---|---|---|---|",
        f"| endpoint, one by one | {one_by_one:,.0f} | {min(single):,.0f}–{max(single):,.0f} | 1 | |",
    ]
    for limit, measured in (("", found), (f", each held to {SHARE} of a CPU", limited)):
        for workers, rounds in measured.items():
            rates = [each.per_second for each in rounds]
            per_cpu = statistics.median(each.per_cpu_second for each in rounds)
            rate = statistics.median(rates)
            name = f"stream, {workers} worker{'s' if workers > 1 else ''}{limit}"
            lines.append(
                f"| {name} | {rate:,.0f} | {min(rates):,.0f}–{max(rates):,.0f} | {rate / one_by_one:.1f} "
                f"| {per_cpu:,.0f} |"
            )
    one, two = (statistics.median(each.per_second for each in limited[workers]) for workers in (1, 2))
    lines += [
        "",
        "Two workers at full speed have no CPU of their own here. Held to a share, so that there is room for",
        f"what they wait for, the second one adds {two / one - 1:.2f} of the first.",
    ]
    medians, p99s, most = np.quantile(delays, (0.5, 0.99, 1), axis=1) * 1000
    lines += [
        "",
        f"From sending an event to its prediction at a consumer, at {RATE:,} events a second, one worker:",
        f"median {statistics.median(medians):.0f} ms, p99 {statistics.median(p99s):.0f} ms "
        f"({min(p99s):.0f}–{max(p99s):.0f}), most {max(most):.0f} ms; {ROUNDS} rounds of "
        f"{len(delays[0]):,} events.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
