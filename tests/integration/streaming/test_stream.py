"""A worker answers as the endpoint does, refuses with reasons, and goes on after whatever comes between."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from sklearn.metrics import root_mean_squared_error

from db import embedded
from serving import client, rows
from streaming.events import Event
from streaming.gauges import known, look
from streaming.scoring import Row
from streaming.store import Batch, Moved, Store
from tests import kafka
from tests.integration.releases.titanic import Built
from tests.integration.serving.live import serving
from tests.integration.streaming.place import TAXI, Place, Worker, build, place, requests, trips, wait_for

GREEN = Path(__file__).parents[3].parent / "shared" / "data" / "green"
MONTHS = ["2024-01", "2024-02"]
GOOD = json.dumps(dict(TAXI.example)).encode()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with (
        kafka.serving(tmp_path_factory.mktemp("kafka")) as broker,
        place(tmp_path_factory.mktemp("home"), broker, "") as made,
    ):
        yield made


@pytest.fixture
def here(shared: Place) -> Place:
    """Version 1 serves, the log is empty, topics and group are the test's own."""
    shared.prefix = f"test-{time.time_ns()}"
    shared.make_topics(2)
    shared.execute("TRUNCATE predictions, outcomes, stream_events, stream_places")
    shared.release(1)
    return shared


@pytest.fixture
def worker(here: Place, tmp_path: Path) -> Iterator[Worker]:
    worker = here.start(tmp_path / "log")
    yield worker
    worker.kill()


def test_50_000_real_trips_get_the_answers_and_refusals_of_the_endpoint(
    here: Place, worker: Worker, tmp_path: Path, free_port: int
) -> None:
    if not all((GREEN / f"green_tripdata_{month}.parquet").is_file() for month in MONTHS):
        pytest.skip(f"THE ANSWERS TO 50,000 REAL TRIPS ARE NOT CHECKED: {GREEN} has no {MONTHS}")
    asked = rows.requests(TAXI.contract, TAXI.read(TAXI.locate(str(GREEN), MONTHS, Path())).iloc[:50_000])
    here.send("requests", [(f"trip-{n}", json.dumps(request).encode()) for n, request in enumerate(asked)])
    state = {"MODELYARD_ENDPOINT_STATE": str(tmp_path / "state")}
    built = Built(None, build(here.settings.home / "bentoml", 1))  # type: ignore[arg-type]
    with serving(built, tmp_path, state, port=free_port) as live, client.connect(live.address) as endpoint:
        expected = {f"trip-{n}": answer for n, answer in enumerate(endpoint.predict_many(asked))}
    wait_for(lambda: worker.events("predicted") + worker.events("refused") == len(asked), "all answers")
    came: dict[str, Any] = {m.key().decode(): json.loads(m.value()) for m in here.messages("predictions")}
    reasons = {m.key().decode(): _header(m, "reason") for m in here.messages("refused")}
    assert came == {trip: answer for trip, answer in expected.items() if isinstance(answer, dict)}
    assert reasons == {
        trip: answer.reason for trip, answer in expected.items() if not isinstance(answer, dict)
    }
    assert reasons  # meters that count thousands of miles
    logged = dict(here.query("SELECT request_id, output FROM predictions"))
    assert logged == {trip: {"duration_minutes": came[trip]["duration_minutes"]} for trip in came}


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("bad", b"{", "Invalid JSON"),
        ("bad", b"", "Invalid JSON"),
        ("bad", None, "no value"),
        ("bad", GOOD + b"," + GOOD, "Invalid JSON"),
        ("bad", b"[" + GOOD + b"]", "Input should be an object"),
        ("bad", GOOD.replace(b"74", b'"74"'), "PULocationID"),
        ("bad", GOOD.replace(b"3.1", b"NaN"), "trip_distance"),
        ("bad", GOOD[:-1] + b', "tip": 1}', "tip: Extra inputs are not permitted"),
        ("bad", GOOD[:-1] + b', "PULocationID": 75}', "PULocationID: Is given more than once"),
        ("an id", GOOD, "1 to 64 letters"),
        (None, GOOD, "1 to 64 letters"),
    ],
)
def test_what_cannot_be_taken_goes_aside_with_the_reason(
    scorer: Any, key: str | None, value: bytes | None, reason: str
) -> None:
    from streaming.events import event

    good = [event(Fake(f"good-{n}", GOOD, n)) for n in range(3)]
    rows, refused = scorer.score([*good, event(Fake(key, value, 3))])
    assert [row.event for row in rows] == good
    assert [refusal.event.offset for refusal in refused] == [3]
    assert reason in refused[0].reason


def test_poison_goes_to_its_topic_and_the_rest_goes_on(here: Place, worker: Worker) -> None:
    nul = b'{"PULocationID": 74, "a\\u0000": 1}'
    here.send("requests", [("one", GOOD), ("poison", nul), ("two", GOOD), ("one", GOOD), ("spaced id", GOOD)])
    here.send("outcomes", [("one", b'{"value": 12.5}'), ("two", b'{"value": "soon"}')])
    wait_for(lambda: here.logged() == 2 and worker.events("refused") == 3, "two predictions")
    assert worker.events("repeated") == 1
    aside = {m.key().decode(): m for m in here.messages("refused")}
    assert aside["poison"].value() == nul
    assert _header(aside["poison"], "topic") == here.topic("requests")
    assert "DOLocationID: Field required" in _header(aside["poison"], "reason")
    assert "value: Input should be a valid number" in _header(aside["two"], "reason")
    assert here.query("SELECT request_id, value FROM outcomes") == [("one", 12.5)]
    assert worker.stop()["predicted"] == 2


def test_workers_share_the_partitions_and_hand_them_over_while_they_are_busy(
    here: Place, worker: Worker, tmp_path: Path
) -> None:
    bodies = requests(trips())
    here.send("requests", [(f"a{n}", body) for n, body in enumerate(bodies)])
    wait_for(lambda: here.logged() > 0, "a beginning")
    other = here.start(tmp_path / "other")
    wait_for(lambda: "Reading 2 partitions" in other.log.read_text(), "its half of requests and outcomes")
    here.send("requests", [(f"b{n}", body) for n, body in enumerate(bodies)])
    wait_for(lambda: other.events("predicted") > 0, "its share")
    done = worker.stop()
    wait_for(lambda: here.logged() == 2 * len(bodies), "the rest")
    assert done["predicted"] + other.stop()["predicted"] == 2 * len(bodies)
    assert done["repeated"] == 0


def test_a_release_changes_the_model_between_two_batches(here: Place, worker: Worker) -> None:
    bodies = requests(trips())
    here.send("requests", [(f"a{n}", body) for n, body in enumerate(bodies[:3_000])])
    wait_for(lambda: here.logged() == 3_000, "the first")
    here.release(2)
    wait_for(lambda: "taxi:2-" in worker.log.read_text(), "the second version")
    here.send("requests", [(f"b{n}", body) for n, body in enumerate(bodies[:3_000])])
    wait_for(lambda: here.logged() == 6_000, "the rest")
    assert here.query(
        "SELECT left(request_id, 1), model_version, count(*) FROM predictions GROUP BY 1, 2"
    ) == [
        ("a", 1, 3_000),
        ("b", 2, 3_000),
    ]


def test_while_the_database_is_away_nothing_is_read_and_nothing_lost(here: Place, worker: Worker) -> None:
    bodies = requests(trips())
    here.send("requests", [(f"a{n}", body) for n, body in enumerate(bodies)])
    wait_for(lambda: here.logged() > 0, "a beginning")
    embedded.stop(here.settings.home)
    wait_for(lambda: worker.figure('modelyard_stream_waiting{part="database"}') == 1, "the wait")
    before = worker.memory()
    for part in range(4):
        here.send("requests", [(f"{part}-{n}", body) for n, body in enumerate(bodies)])
    assert worker.memory() - before < 60_000_000
    embedded.ensure_running(here.settings.home)
    wait_for(lambda: here.logged() == 5 * len(bodies), "the rest", 120)
    assert "Waiting for the database" in worker.log.read_text()


def test_outcomes_count_whenever_they_come(here: Place, worker: Worker) -> None:
    bodies, truth = requests(trips())[:400], trips()["duration"].tolist()[:400]
    now = int(time.time() * 1000)

    def tell(numbers: range, at: int, off: float = 0.0) -> None:
        told = [(f"t{n}", json.dumps({"value": truth[n] + off}).encode()) for n in numbers]
        here.send("outcomes", told, timestamp=at)

    tell(range(100), now - 1_000)  # before their predictions
    wait_for(lambda: worker.events("outcome") == 100, "outcomes")
    assert known(here.url, TAXI, timedelta(hours=1)) == {}
    here.send("requests", [(f"t{n}", body) for n, body in enumerate(bodies)])
    wait_for(lambda: here.logged() == 400, "predictions")
    tell(range(300, 400), now - 30 * 60_000)  # late, and out of order
    tell(range(200, 300), now - 2 * 3_600_000)  # of before the window
    tell(range(50), now - 10 * 60_000, off=100.0)  # older than what is known: it does not count
    wait_for(lambda: worker.events("outcome") == 350, "outcomes")
    found, predicted = known(here.url, TAXI, timedelta(hours=1))[1]
    assert sorted(found) == sorted(truth[:100] + truth[300:])
    expected = dict(here.query("SELECT request_id, output ->> 'duration_minutes' FROM predictions"))
    both = [(truth[n], float(expected[f"t{n}"])) for n in [*range(100), *range(300, 400)]]
    error = root_mean_squared_error(*zip(*both, strict=True))
    assert root_mean_squared_error(found, predicted) == pytest.approx(error)
    name = 'modelyard_stream_live_error{metric="rmse",version="1"}'
    wait_for(lambda: worker.figure(name) == pytest.approx(error), "the gauge")
    drift = 'modelyard_stream_drift{column="distance",version="1"}'
    wait_for(lambda: worker.figure(drift) < 0.2, "the distance from the rows in its Bento")


def test_drift_is_measured_against_the_rows_in_the_bento_of_the_version(
    here: Place, worker: Worker, tmp_path: Path
) -> None:
    bento = build(here.settings.home / "bentoml", 1).path / "src"
    far = trips().iloc[:1_000].assign(trip_distance=lambda frame: frame["trip_distance"] + 5)
    here.send("requests", [(f"t{n}", body) for n, body in enumerate(requests(far))])
    wait_for(lambda: here.logged() > 900, "predictions")
    found = look(here.url, "taxi", 1, bento, timedelta(hours=1))
    assert found.trouble is None
    assert found.drift["distance"] > 0.5
    assert found.drift["vendor"] < 0.1
    without = look(here.url, "taxi", 1, tmp_path, timedelta(hours=1))
    assert without.drift == {}
    assert "release again" in str(without.trouble)


def test_a_worker_for_whom_no_partition_is_left_is_ready_and_takes_over(
    here: Place, worker: Worker, tmp_path: Path
) -> None:
    here.send("requests", [("one", GOOD)])
    wait_for(lambda: here.logged() == 1, "a prediction")
    others = [here.start(tmp_path / f"other-{n}") for n in range(2)]
    for other in others:
        wait_for(other.is_ready, "a worker that is ready")
    idle = [each for each in (worker, *others) if "Reading 0 partitions" in each.log.read_text()]
    assert idle
    before = idle[-1].events("predicted")
    for each in (worker, *others):
        if each is not idle[-1]:
            each.stop()
    here.send("requests", [("two", GOOD)])
    wait_for(lambda: here.logged() == 2, "another prediction")
    assert idle[-1].stop()["predicted"] == before + 1


def test_a_worker_that_was_taken_for_dead_writes_nothing(here: Place) -> None:
    one, other = (Store(lambda: here.url, "taxi", "group") for _ in range(2))
    start = {("t", 0): 0}
    assert one.places(start) == other.places({("t", 0): 7}) == start

    def batch(event: str) -> Batch:
        row = Row(Event("t", 0, 0, None, b"", 0.0, event), _line(event))
        return Batch(start, {("t", 0): 1}, [row], [])

    assert other.write(batch("a"), lambda _: lambda: None) == 1
    with pytest.raises(Moved):
        one.write(batch("b"), lambda _: lambda: None)
    assert one.places(start) == {("t", 0): 1}
    assert here.query("SELECT request_id FROM predictions") == [("a",)]
    for store in (one, other):
        store.close()


def test_what_the_database_refuses_is_undone_whole(here: Place) -> None:
    store = Store(lambda: here.url, "taxi", "group")
    store.places({("t", 0): 0})
    bad = Row(Event("t", 0, 0, None, b"", 0.0, "a"), _line("a").replace(b"{}", b"{"))
    with pytest.raises(psycopg2.DataError):
        store.write(Batch({("t", 0): 0}, {("t", 0): 1}, [bad], []), lambda _: lambda: None)
    assert here.query("SELECT count(*) FROM stream_events") == [(0,)]
    assert store.places({("t", 0): 0}) == {("t", 0): 0}
    store.close()


def test_nothing_is_scored_while_nothing_serves(shared: Place, tmp_path: Path) -> None:
    shared.execute("UPDATE releases SET status = 'superseded'")
    shared.prefix = f"test-{time.time_ns()}"
    worker = shared.start(tmp_path / "log")
    stdout, _ = worker.process.communicate(timeout=60)
    assert worker.process.returncode == 1
    assert "python run.py release taxi" in json.loads(stdout)["error"]


class Fake:
    """A message as confluent_kafka has them, which tests cannot make."""

    def __init__(self, key: str | None, value: bytes | None, offset: int) -> None:
        self._key, self._value, self._offset = key.encode() if key is not None else None, value, offset

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> None:
        return None

    def topic(self) -> str:
        return "requests"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_700_000_000_000


@pytest.fixture(scope="module")
def scorer(shared: Place) -> Any:
    from serving import endpoint
    from streaming.scoring import Scorer

    return Scorer(endpoint.load(build(shared.settings.home / "bentoml", 1).path / "src"))


def _header(message: Any, name: str) -> str:
    return str(dict(message.headers())[name].decode())


def _line(event: str) -> bytes:
    now = time.strftime("%Y-%m-%d %H:%M:%S+00", time.gmtime())
    return f"taxi\t{now}\t{event}\t0\t1\t\\N\t0.1\t{{}}\t{{}}\n".encode()
