"""Whatever dies meanwhile, each event is in PostgreSQL exactly once, and in the order of its key."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer

from db import embedded
from tests import kafka
from tests.integration.streaming.place import Place, Worker, place, requests, trips, wait_for

EVENTS, KEYS, KILLS = 100_000, 500, 20
READS = "Reading"


@pytest.mark.slow
def test_no_event_is_lost_or_logged_twice_whoever_is_killed(tmp_path: Path) -> None:
    chance = random.Random(1)  # noqa: S311
    (tmp_path / "kafka").mkdir()
    with kafka.serving(tmp_path / "kafka") as broker, place(tmp_path / "home", broker, "killed") as here:
        here.make_topics(partitions=4)
        here.release(1)
        bodies = requests(trips())
        events = [(f"k{n % KEYS}", f"e{n}", bodies[n % len(bodies)]) for n in range(EVENTS)]
        producer = Producer(
            {"bootstrap.servers": broker.address, "enable.idempotence": True}
            | {"queue.buffering.max.messages": EVENTS}
        )
        logs = [tmp_path / "log 0", tmp_path / "log 1"]
        workers = [here.start(log, "--member", log.name) for log in logs]
        for kill in range(KILLS):
            part = slice(kill * EVENTS // KILLS, (kill + 1) * EVENTS // KILLS)
            for key, event, body in events[part]:
                producer.produce(here.topic("requests"), body, key, headers={"ce_id": event})
            # In turns: one starts while the other works.
            turn, log, before = kill % 2, logs[kill % 2], here.logged()
            wait_for(lambda turn=turn: _at_work(here, workers, logs, turn), "a worker at work")
            wait_for(lambda before=before: here.logged() > before, "progress")
            if kill in (5, 12):
                broker.kill()
                broker.start()
            if kill == 8:
                embedded.stop(here.settings.home)
                embedded.ensure_running(here.settings.home)
            time.sleep(chance.uniform(0, 0.3))  # at any moment of a batch
            workers[turn].kill()
            log.write_text("")
            workers[turn] = here.start(log, "--member", log.name)
        assert producer.flush(60) == 0
        wait_for(lambda: here.logged() >= EVENTS, "the rest")
        for turn in range(2):
            wait_for(lambda turn=turn: _at_work(here, workers, logs, turn), "a worker at work")
            workers[turn].stop()
        found = here.query("SELECT request_id, count(*) FROM predictions GROUP BY request_id")
        assert len(found) == EVENTS
        assert {count for _, count in found} == {1}
        told = here.messages("predictions")
        first = list(dict.fromkeys(dict(message.headers())["ce_id"].decode() for message in told))
        assert sorted(first) == sorted(event for event, _ in found)
        by_key: dict[bytes, list[int]] = {}
        keys = {dict(message.headers())["ce_id"].decode(): message.key() for message in told}
        for event in first:
            by_key.setdefault(keys[event], []).append(int(event[1:]))
        assert all(numbers == sorted(numbers) for numbers in by_key.values())
        assert len(by_key) == KEYS
        assert here.messages("refused") == []
        answers = {dict(m.headers())["ce_id"].decode(): json.loads(m.value()) for m in told}
        logged = here.query("SELECT request_id, output, model_version FROM predictions")
        assert all(answers[event] == output | {"model_version": v} for event, output, v in logged)


def _at_work(here: Place, workers: list[Worker], logs: list[Path], turn: int) -> bool:
    """Whether this worker reads; one that ended because the broker was away is started again."""
    if workers[turn].process.poll() is not None:
        workers[turn].kill()
        workers[turn] = here.start(logs[turn], "--member", logs[turn].name)
    return READS in logs[turn].read_text()
