"""A home in which taxi is released, and workers of its stream as processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pandas as pd
import psutil
import psycopg2
import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

import usecases
from db import releases
from db.databases import prepare
from db.migrate import upgrade
from serving import model as served_model
from serving import rows
from serving.package import PREDICTION, ModelPackage, Packed, package
from settings import PROJECT, Settings
from tests.kafka import Broker
from training.profile import profile
from training.search import fit

TAXI = usecases.load("taxi")
TOPICS = ("requests", "outcomes", "predictions", "refused")
SECONDS = 60.0
# Trees, as the champion's, but few.
_QUICK = {"learning_rate": 0.2, "max_iter": 8, "max_leaf_nodes": 31}


@cache
def trips() -> pd.DataFrame:
    """Real trips that are valid requests, all of them."""
    found = TAXI.clean(TAXI.read(TAXI.locate("sample", None, Path()))).frame
    return found[found["trip_distance"] <= 100].reset_index(drop=True)


def requests(frame: pd.DataFrame) -> list[bytes]:
    return [json.dumps(request).encode() for request in rows.requests(TAXI.contract, frame)]


@dataclass
class Place:
    """A home folder and its database, and the topics of one test."""

    settings: Settings
    url: str
    broker: Broker
    prefix: str
    workers: list[Worker] = field(default_factory=list)

    def topic(self, name: str) -> str:
        return f"{self.prefix}.{name}"

    def make_topics(self, partitions: int = 1) -> None:
        for name in TOPICS:
            self.broker.topic(self.topic(name), partitions)

    def release(self, version: int, candidate: str = "gradient_boosting") -> Packed:
        """What a release leaves behind that a stream looks at: the Bento, and the record."""
        bento = build(self.settings.home / "bentoml", version, candidate)
        number = releases.begin(
            self.url,
            use_case="taxi",
            model_version=version,
            bento=bento.tag,
            target="local",
            released_by="tests",
        )
        releases.serve(self.url, number, "http://localhost")
        return bento

    def command(self, *options: str) -> list[str]:
        named = [word for name in TOPICS for word in (f"--{name}", self.topic(name))]
        own = ["--group", self.prefix, "--metrics-port", "0", *named, *options]
        return [sys.executable, "run.py", "stream", "taxi", "--json", *own]

    def start(self, log: Path, *options: str, **environment: str) -> Worker:
        home = {"MODELYARD_HOME": str(self.settings.home), "MODELYARD_KAFKA": self.broker.address}
        with log.open("ab") as stderr:
            process = subprocess.Popen(
                self.command(*options),
                cwd=PROJECT,
                env=os.environ | home | environment,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        self.workers.append(Worker(process, log))
        return self.workers[-1]

    def send(self, name: str, events: Sequence[tuple[str, bytes]], **options: Any) -> None:
        producer = Producer({"bootstrap.servers": self.broker.address, "enable.idempotence": True})
        for key, value in events:
            producer.produce(self.topic(name), value, key, **options)
            producer.poll(0)
        assert producer.flush(SECONDS) == 0

    def messages(self, name: str) -> list[Message]:
        """All that a topic holds, partition by partition."""
        consumer = Consumer({"bootstrap.servers": self.broker.address, "group.id": "a look"})
        with closing(consumer):
            found: list[Message] = []
            for partition in consumer.list_topics(self.topic(name)).topics[self.topic(name)].partitions:
                first, last = consumer.get_watermark_offsets(TopicPartition(self.topic(name), partition))
                consumer.assign([TopicPartition(self.topic(name), partition, first)])
                while consumer.position([TopicPartition(self.topic(name), partition)])[0].offset < last:
                    if last == first:
                        break
                    found += consumer.consume(1000, 1)
            return found

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(self.url)) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())

    def execute(self, statement: str) -> None:
        with closing(psycopg2.connect(self.url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement)

    def logged(self) -> int:
        return int(self.query("SELECT count(*) FROM predictions")[0][0])


@dataclass
class Worker:
    process: subprocess.Popen[bytes]
    log: Path

    def metrics(self) -> str:
        """What it says of itself, once it does."""
        return self._ask("metrics")

    def is_ready(self) -> bool:
        try:
            return self._ask("readyz") == "ok\n"
        except HTTPError:
            return False

    def figure(self, name: str) -> float:
        lines = [line for line in self.metrics().splitlines() if line.startswith(f"{name} ")]
        return float(lines[0].split()[-1]) if lines else float("nan")

    def events(self, result: str) -> int:
        return int(self.figure(f'modelyard_stream_events_total{{result="{result}"}}'))

    def memory(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def stop(self) -> dict[str, Any]:
        self.process.terminate()
        stdout, _ = self.process.communicate(timeout=SECONDS)
        assert self.process.returncode == 0, self.log.read_text()[-3000:]
        return dict(json.loads(stdout))

    def kill(self) -> None:
        assert self.process.stdout is not None
        if not self.process.stdout.closed:
            self.process.kill()
            self.process.communicate()

    def _ask(self, path: str) -> str:
        port = wait_for(lambda: self._port(), "its port")
        with urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def _port(self) -> str | None:
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        found = self.log.read_text().rpartition("metrics at :")[2].partition("/")[0]
        return found if found.isdigit() else None


@cache
def build(store: Path, version: int, candidate: str = "gradient_boosting") -> Packed:
    """A version of taxi as a Bento."""
    return package(content(version, candidate), store)


@cache
def content(version: int, candidate: str = "gradient_boosting") -> ModelPackage:
    """A version of taxi, trained in a second."""
    frame = trips().iloc[:5_000].reset_index(drop=True)
    parameters = _QUICK if candidate == "gradient_boosting" else {}
    fitted = fit(TAXI, TAXI.candidate(candidate), parameters, frame, seed=version)
    predictions = served_model.predict(TAXI, fitted, frame[TAXI.request_columns])
    return ModelPackage(
        use_case="taxi",
        model_version=version,
        model=fitted,
        provenance={"candidate": candidate, "zenml_run": "a run", "mlflow_run": "another", "data": "sample"},
        profile=profile(frame[TAXI.request_columns], predictions),
        examples=frame[[*TAXI.request_columns, TAXI.target]].assign(**{PREDICTION: predictions}),
    )


@contextmanager
def place(home: Path, broker: Broker, prefix: str) -> Iterator[Place]:
    """A home folder with a database of its own server."""
    from db import embedded

    settings = Settings(home=home)
    with pytest.MonkeyPatch.context() as patched:
        # What is in it afterwards is the password of this server; tests that come later have another.
        patched.delenv("PGPASSWORD", raising=False)
        url = prepare(settings).modelyard
        upgrade(url)
        made = Place(settings, url, broker, prefix)
        try:
            yield made
        finally:
            for worker in made.workers:
                worker.kill()
            embedded.stop(home)


def wait_for(found: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
    """What `found` gives once it is something."""
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline, f"{what} did not come within {seconds:.0f} s"
        time.sleep(0.1)
    return result
