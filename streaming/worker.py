"""One worker of a stream: read some events, score them, write all that comes of them, go on.

Whatever goes wrong, one way leads out of it: forget what was read and go on where PostgreSQL says the stream
is. A worker that is killed begins there, too.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg2

from errors import BrokerError
from serving.log.statements import is_of_content
from streaming.events import Event, Topics, event
from streaming.scoring import Outcomes, Refusal, Row, Scorer
from streaming.store import Batch, Moved
from streaming.telling import Teller

if TYPE_CHECKING:
    from confluent_kafka import Message

    from streaming.events import Place
    from streaming.metrics import Metrics
    from streaming.store import Store

MAX_ROWS, MAX_BYTES = 5_000, 16_000_000
"""Of a batch."""
LINGER_SECONDS = 0.02
"""So long a batch waits for more events after its first."""
IDLE_SECONDS = 0.25
BROKER_SECONDS = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
REJOIN_SECONDS = 1.0
_SLICE = 200
"""Events that are taken from librdkafka at once; after each the bytes are counted."""

_CONSUMER = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "session.timeout.ms": 10_000,
    "heartbeat.interval.ms": 2_000,
    # What lies ready beside the batch at work: no more, however slow the database is.
    "queued.max.messages.kbytes": 8_192,
    "fetch.max.bytes": 8_388_608,
    "fetch.wait.max.ms": 100,
}

logger = logging.getLogger("modelyard.stream")


class Scored(NamedTuple):
    """Events, and what came of them."""

    events: Sequence[Event]
    predictions: Sequence[Row]
    outcomes: Sequence[Row]
    refused: Sequence[Refusal]

    def of(self, events: Sequence[Event]) -> Scored:
        """What came of some of them."""
        there = {id(each) for each in events}
        rows, known = (
            [row for row in part if id(row.event) in there] for part in (self.predictions, self.outcomes)
        )
        return Scored(events, rows, known, [each for each in self.refused if id(each.event) in there])


class Worker:
    """A member of the group of consumers: one thread reads and scores, another writes the batch before."""

    def __init__(
        self,
        configuration: dict[str, Any],
        topics: Topics,
        consumers: str,
        store: Store,
        scorer: Callable[[], Scorer],
        outcomes: Outcomes,
        metrics: Metrics,
        member: str | None = None,
    ) -> None:
        """Read as one of the group `consumers`; `scorer` is asked before each batch for the model of now.

        `member` names the worker: killed and started again under the same name, it goes on at once with the
        partitions that it had.
        """
        own = {"group.id": consumers} | ({"group.instance.id": member} if member else {})
        self._configuration, self._own = configuration, own
        self._topics, self._store, self._metrics = topics, store, metrics
        self._scorer, self._outcomes = scorer, outcomes
        self._assigned: list[Place] | None = None
        """None as long as the group has not said; where others have all partitions, none of them."""
        self._next: dict[Place, int] | None = None
        self._last_told = ""
        self._writer = ThreadPoolExecutor(1, "write")
        self._writing: Future[dict[Place, int]] | None = None
        self._stopping = threading.Event()
        self._open()

    @property
    def ready(self) -> bool:
        """Whether it knows where to read on, or that all partitions are others'."""
        return self._next is not None

    def run(self, stopping: threading.Event) -> None:
        """Work until told to stop; the batch at work is finished, and the group left.

        Raises:
            BrokerError: a topic is gone, or may not be read or written.
        """
        from confluent_kafka import KafkaException

        self._stopping = stopping
        try:
            while not stopping.is_set():
                try:
                    self._step()
                except Moved as moved:
                    logger.warning("%s Going on where the stream is.", moved)
                    self._next = None
                except psycopg2.Error as error:
                    self._wait_for_database(error, stopping)
                except KafkaException as error:
                    # The client is done for: what it was is made anew, as if this process had ended.
                    self._tell(f"Joining the group anew: {error.args[0].str()}")
                    self._finish()
                    self._consumer.close()
                    stopping.wait(REJOIN_SECONDS)
                    self._open()
        finally:
            self._finish()
            self._writer.shutdown()
            self._consumer.close()
            self._store.close()

    def _open(self) -> None:
        from confluent_kafka import Consumer

        kafka = logging.getLogger("modelyard.kafka")
        self._assigned, self._next, self._writing = None, None, None
        self._teller = Teller(self._configuration, self._topics, self._metrics)
        self._consumer = Consumer({**self._configuration, **_CONSUMER, **self._own}, logger=kafka)
        topics = [self._topics.requests, self._topics.outcomes]
        self._consumer.subscribe(topics, on_assign=self._got, on_revoke=self._gave, on_lost=self._gave)

    def _step(self) -> None:
        """Read and score a batch while the one before is written."""
        if self._next is None:
            self._written()
            self._settle()
            if self._next is None:
                self._consumer.poll(IDLE_SECONDS)
                return
        events = self._gather()
        scored = self._score(events) if events and self._next is not None else None
        self._written()
        if scored is None or self._next is None:
            return
        until = {(each.topic, each.partition): each.offset + 1 for each in events}
        since = {place: self._next[place] for place in until}
        self._next |= until
        self._writing = self._writer.submit(self._write, since, scored)
        self._look_at_lag()

    def _written(self) -> None:
        """Wait until the batch at work is written; raises what went wrong with it."""
        writing, self._writing = self._writing, None
        if writing is not None:
            # By this thread: the other would wait for the consumer while that gives up its partitions.
            self._commit(writing.result())

    def _finish(self) -> None:
        """Let the batch at work end, well or not: what is not written is read again."""
        if self._writing is not None:
            wait([self._writing])
            error = self._writing.exception()
            if error is not None:
                logger.warning("A batch is left to the next worker: %s", str(error).strip())

    def _gather(self) -> list[Event]:
        """Events of a batch: what is there, or comes within a moment of the first."""
        consumer = self._consumer
        messages = consumer.consume(1, IDLE_SECONDS)
        deadline, size = time.monotonic() + LINGER_SECONDS, 0
        events: list[Event] = []
        while messages:
            for message in messages:
                if self._is_event(message):
                    events.append(event(message))
                    size += len(events[-1].value)
            left = deadline - time.monotonic()
            if len(events) >= MAX_ROWS or size > MAX_BYTES or left <= 0:
                break
            messages = consumer.consume(min(_SLICE, MAX_ROWS - len(events)), left)
        return events

    def _is_event(self, message: Message) -> bool:
        from confluent_kafka import KafkaError, KafkaException

        error = message.error()
        if error is None:
            return True
        if error.code() == KafkaError._FATAL:
            raise KafkaException(error)
        if error.code() in (
            KafkaError.UNKNOWN_TOPIC_OR_PART,
            KafkaError.TOPIC_AUTHORIZATION_FAILED,
            KafkaError.GROUP_AUTHORIZATION_FAILED,
        ):
            raise BrokerError(f"Kafka does not let this worker read {message.topic() or ''}: {error.str()}")
        self._tell(f"Going on where the stream is: {error.str()}")
        self._next = None
        return False

    def _score(self, events: Sequence[Event]) -> Scored:
        scorer = self._scorer()
        self._metrics.version.labels(scorer.endpoint.contract.name).set(scorer.endpoint.version)
        rows, refused = scorer.score([each for each in events if each.topic == self._topics.requests])
        known, untrue = self._outcomes.read([each for each in events if each.topic != self._topics.requests])
        return Scored(events, rows, known, [*refused, *untrue])

    def _write(self, since: dict[Place, int], scored: Scored) -> dict[Place, int]:
        """Write what came of events; halved where the database finds fault with what one of them says.

        Returns how far the stream is with them.
        """
        began = time.perf_counter()
        events, rows, known, refused = scored
        until = {(each.topic, each.partition): each.offset + 1 for each in events}
        batch = Batch({place: since[place] for place in until}, until, rows, known)

        def tell(new: Sequence[Row]) -> Callable[[], None]:
            self._teller.tell(new, refused)
            return lambda: self._teller.delivered(self._stopping)

        try:
            new = self._store.write(batch, tell)
        except psycopg2.Error as error:
            if not is_of_content(error):
                raise
            if len(events) == 1:
                reason = f"The database refuses it: {str(error).splitlines()[0]}"
                return self._write(since, Scored(events, [], [], [Refusal(events[0], reason)]))
            middle = len(events) // 2
            for half in (events[:middle], events[middle:]):
                self._write(since, scored.of(half))
            return until
        since |= until
        counts = (new, len(rows) - new, len(known), len(refused))
        for result, count in zip(("predicted", "repeated", "outcome", "refused"), counts, strict=True):
            self._metrics.events.labels(result).inc(count)
        self._metrics.batch.observe(time.perf_counter() - began)
        self._metrics.delay.observe(max(0.0, time.time() - min(each.time for each in events)))
        return until

    def _got(self, consumer: Any, partitions: Sequence[Any]) -> None:
        from confluent_kafka import OFFSET_END, TopicPartition

        self._next, self._assigned = None, [(each.topic, each.partition) for each in partitions]
        # Until it is known where the stream is, nothing is read.
        consumer.assign([TopicPartition(each.topic, each.partition, OFFSET_END) for each in partitions])
        consumer.pause(partitions)

    def _gave(self, _: Any, __: Sequence[Any]) -> None:
        if self._writing is not None:
            wait([self._writing])  # whoever goes on begins after it
        self._next, self._assigned = None, None
        self._metrics.lag.clear()

    def _settle(self) -> None:
        """Read on where the stream is, according to PostgreSQL."""
        from confluent_kafka import KafkaException, TopicPartition

        if self._assigned is None:
            return
        try:
            ends = {
                place: self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=BROKER_SECONDS)
                for place in self._assigned
            }
        except KafkaException as error:
            self._tell(f"The broker does not say how far its topics reach: {error.args[0].str()}")
            return
        assigned = list(self._assigned)
        places = self._store.places({place: low for place, (low, _) in ends.items()})
        gone = {place: (at, ends[place][0]) for place, at in places.items() if at < ends[place][0]}
        if gone:
            lost = sum(low - at for at, low in gone.values())
            logger.error(
                "%d events are lost: the broker's retention was shorter than the stream's rest", lost
            )
            self._metrics.lost.inc(lost)
            self._store.skip(gone)
            places |= {place: low for place, (_, low) in gone.items()}
        beyond = [place for place, at in places.items() if at > ends[place][1]]
        if beyond:
            (topic, partition), at = beyond[0], places[beyond[0]]
            raise BrokerError(
                f"The stream is at offset {at} of {topic}, partition {partition}, which ends at "
                f"{ends[beyond[0]][1]}: it was made anew. Choose another --group to begin anew, too."
            )
        partitions = [TopicPartition(*place, places[place]) for place in assigned]
        self._consumer.assign(partitions)
        self._consumer.resume(partitions)
        self._next = places
        logger.info("Reading %d partitions", len(assigned))

    def _commit(self, until: dict[Place, int]) -> None:
        """Tell the broker, too, for those who look at the lag there; what counts is in PostgreSQL."""
        from confluent_kafka import KafkaException, TopicPartition

        try:
            offsets = [TopicPartition(*place, offset) for place, offset in until.items()]
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            logger.info("The broker was not told of the place: %s", error.args[0].str())

    def _look_at_lag(self) -> None:
        from confluent_kafka import TopicPartition

        for (topic, partition), at in (self._next or {}).items():
            _, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
            if high >= 0:
                self._metrics.lag.labels(topic, str(partition)).set(max(0, high - at))

    def _wait_for_database(self, why: psycopg2.Error, stopping: threading.Event) -> None:
        """Read nothing until it answers; the group is told meanwhile that this worker lives."""
        self._metrics.waiting.labels("database").set(1)
        self._next, pause = None, FIRST_PAUSE
        while not stopping.is_set():
            self._tell(f"Waiting for the database: {str(why).strip()}")
            # What was read before is not looked at again: once the database answers, it is read anew.
            self._consumer.pause(self._consumer.assignment())
            until = time.monotonic() + pause
            while (left := until - time.monotonic()) > 0 and not stopping.is_set():
                self._consumer.poll(min(left, IDLE_SECONDS))
            self._store.close()
            try:
                self._store.places({})
                break
            except psycopg2.Error as error:
                why = error
            pause = min(2 * pause, LONGEST_PAUSE)
        self._metrics.waiting.labels("database").set(0)

    def _tell(self, what: str) -> None:
        """Say it, unless it was just said."""
        if what != self._last_told:
            logger.warning("%s", what)
        self._last_told = what
