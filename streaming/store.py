"""A stream's tables in PostgreSQL: its place, the events it has taken, the log.

All that a batch makes is written in one transaction, which begins by a look at the place: a worker that was
taken for dead and is not finds that another has moved it, and writes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import psycopg2

from errors import ModelyardError
from serving.log import statements

if TYPE_CHECKING:
    from streaming.events import Place
    from streaming.scoring import Row

_CONNECT: dict[str, Any] = {
    "connect_timeout": 10,
    "application_name": "modelyard stream",
    "client_encoding": "UTF8",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_PARTITIONS = "unnest(%(topics)s::text[], %(partitions)s::int[], %(offsets)s::bigint[]) AS t(topic, p, o)"
_BEGIN = f"""
INSERT INTO public.stream_places (consumers, topic, partition, next_offset)
SELECT %(consumers)s, topic, p, o FROM {_PARTITIONS} ORDER BY topic, p ON CONFLICT DO NOTHING
"""  # noqa: S608 - nothing in it comes from outside
_PLACES = f"""
SELECT s.topic, s.partition, s.next_offset FROM public.stream_places s
JOIN {_PARTITIONS} ON s.topic = t.topic AND s.partition = t.p AND s.consumers = %(consumers)s
ORDER BY s.topic, s.partition
"""  # noqa: S608
_MOVE = f"""
UPDATE public.stream_places s SET next_offset = t.o, at = now() FROM {_PARTITIONS}
WHERE s.consumers = %(consumers)s AND s.topic = t.topic AND s.partition = t.p
"""  # noqa: S608
# In the order of the key, so that two workers with the same events don't wait for each other in a circle.
_TAKE = """
INSERT INTO public.stream_events (use_case, event_id)
SELECT %s, id FROM unnest(string_to_array(%s, ',')) id ORDER BY id ON CONFLICT DO NOTHING RETURNING event_id
"""


class Moved(ModelyardError):
    """Another worker has moved the place: what was read here is not to be written."""


@dataclass(frozen=True)
class Batch:
    """What became of some events, and how far the stream is with them."""

    since: Mapping[Place, int]
    """Offsets that the stream has to be at."""
    until: Mapping[Place, int]
    predictions: Sequence[Row]
    outcomes: Sequence[Row]


class Store:
    """One connection, made when it is needed. Every method raises psycopg2.Error when it fails."""

    def __init__(self, url: Callable[[], str], use_case: str, consumers: str) -> None:
        self._url, self._use_case, self._consumers = url, use_case, consumers
        self._connection: Any = None
        self._day = ""

    def close(self) -> None:
        """Give up the connection, and what it has not committed."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def places(self, earliest: Mapping[Place, int]) -> dict[Place, int]:
        """Offset of the next event of each partition: the earliest where the stream is new."""
        with self._transaction() as cursor:
            cursor.execute(_BEGIN, self._asked(earliest))
            return self._found(cursor, earliest)

    def skip(self, moves: Mapping[Place, tuple[int, int]]) -> None:
        """Go on at later offsets: those before are gone from the topic."""
        with self._transaction() as cursor:
            self._require(cursor, {place: old for place, (old, _) in moves.items()})
            cursor.execute(_MOVE, self._asked({place: new for place, (_, new) in moves.items()}))

    def write(self, batch: Batch, tell: Callable[[Sequence[Row]], Callable[[], None]]) -> int:
        """Write a batch: all of it or nothing; how many of its predictions were of new events.

        `tell` is given these, and gives back what waits until all that was to be told of the batch is; that
        is called before the commit.

        Raises:
            Moved: another worker has written some of it.
        """
        with self._transaction() as cursor:
            self._require(cursor, batch.since)
            new = self._take(cursor, batch.predictions)
            told = tell(new)
            if new:
                self._partition(cursor)
                cursor.copy_expert(statements.COPY_PREDICTIONS, _lines(new))
            if batch.outcomes:
                cursor.execute(statements.TEMPORARY)
                cursor.copy_expert(statements.COPY_OUTCOMES, _lines(batch.outcomes))
                cursor.execute(statements.UPSERT)
            cursor.execute(_MOVE, self._asked(batch.until))
            told()
        return len(new)

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        if self._connection is None:
            self._connection, self._day = psycopg2.connect(self._url(), **_CONNECT), ""
        try:
            with self._connection, self._connection.cursor() as cursor:
                yield cursor
        except BaseException:
            self._day = ""
            raise

    def _require(self, cursor: Any, since: Mapping[Place, int]) -> None:
        if self._found(cursor, since, "FOR UPDATE OF s") != dict(since):
            raise Moved("Another worker goes on with these partitions.")

    def _found(self, cursor: Any, places: Mapping[Place, int], lock: str = "") -> dict[Place, int]:
        cursor.execute(_PLACES + lock, self._asked(places))
        return {(topic, partition): offset for topic, partition, offset in cursor.fetchall()}

    def _take(self, cursor: Any, rows: Sequence[Row]) -> Sequence[Row]:
        """Those of events that were not taken before; of two with one id the first."""
        if not rows:
            return rows
        by_id: dict[str, Row] = {}
        for row in rows:
            by_id.setdefault(row.event.id, row)
        cursor.execute(_TAKE, (self._use_case, ",".join(by_id)))
        if cursor.rowcount == len(rows):
            return rows
        taken = {event for (event,) in cursor.fetchall()}
        return [row for event, row in by_id.items() if event in taken]

    def _partition(self, cursor: Any) -> None:
        day = time.strftime("%Y%m%d", time.gmtime())
        if day != self._day:
            # A batch begun before midnight has rows of the day before.
            for needed in (time.strftime("%Y%m%d", time.gmtime(time.time() - 3600)), day):
                cursor.execute(statements.PARTITION, (needed,))
            self._day = day

    def _asked(self, places: Mapping[Place, int]) -> dict[str, Any]:
        return {
            "consumers": self._consumers,
            "topics": [topic for topic, _ in places],
            "partitions": [partition for _, partition in places],
            "offsets": list(places.values()),
        }


def _lines(rows: Iterable[Row]) -> BytesIO:
    return BytesIO(b"".join([row.line for row in rows]))
