"""From segments into PostgreSQL: each exactly once, whatever dies meanwhile.

A segment is copied in one transaction that notes its name, too; then its file goes. Whoever finds a file
whose name is noted only removes it. While the database does not answer, segments wait.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote

import psycopg2

from errors import DatabaseError
from serving.log import segments, statements
from serving.log.segments import OUTCOMES, REFUSED
from serving.log.spool import Spool

POLL_SECONDS = 0.25
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
BLOCK_BYTES, BLOCK_SECONDS = 8_192, 0.003
"""A segment goes in blocks with pauses between: whole, it keeps PostgreSQL busy for tens of milliseconds, and
where that runs on the endpoint's cores, requests wait; in pieces it is interrupted."""
HURRY_SEGMENTS = 4
"""With more of them waiting there are no pauses."""
NOTED_DAYS = 7
"""So long it is known which segments were shipped."""
_PRUNE_SECONDS = 3600.0
REFUSED_SHARE = 0.1
"""So much of the spool's limit is kept of rows that the database refused, which nothing else removes."""
_CONNECT: dict[str, Any] = {
    "connect_timeout": 10,
    "application_name": "modelyard endpoint",
    "client_encoding": "UTF8",
    # A host that is gone without a word is given up after half a minute.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

_NOTE = "INSERT INTO public.shipped_segments (name) VALUES (%s) ON CONFLICT DO NOTHING"
_PRUNE = "DELETE FROM public.shipped_segments WHERE at < now() - make_interval(days => %s)"
logger = logging.getLogger("modelyard.log")


class Shipper:
    """A thread that ships what a spool's folder holds, segments of other workers and of dead ones as well."""

    def __init__(self, spool: Spool, url_file: Path) -> None:
        """Ship to the database whose URL `url_file` holds; it is read anew for each connection."""
        self.shipped = 0
        """Rows."""
        self.refused = 0
        """Rows that the database refused for their content."""
        self.behind = 0.0
        """Age of the oldest row that is not shipped, in seconds."""
        self.connected = False
        self._spool = spool
        self._url_file = url_file
        self._connection: Any = None
        self._refused_bytes = 0
        self._last_told = ""
        self._last_url = ""
        self._pause = FIRST_PAUSE
        self._next_try = 0.0
        self._next_prune = 0.0
        self._stopping = threading.Event()
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._run, name="prediction log", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self, deadline_seconds: float) -> None:
        """Flush the spool, ship what can be shipped within the deadline, and stop; the rest stays on disk."""
        self._spool.close()
        self._deadline = time.monotonic() + deadline_seconds
        self._stopping.set()
        self._thread.join(deadline_seconds + 2 * POLL_SECONDS)

    def _run(self) -> None:
        while True:
            # Asked before looking: what was closed last is there when the end begins.
            stopping = self._stopping.is_set()
            try:
                left = self._round()
            except Exception:  # whatever it is, the log must not end with it
                logger.exception("The prediction log is not shipped for a moment")
                left = 1
                self._fail()
            if stopping:
                if not left or time.monotonic() > self._deadline:
                    break
                time.sleep(FIRST_PAUSE / 4)
            else:
                self._stopping.wait(POLL_SECONDS)
        self._disconnect()

    def _round(self) -> int:
        """Look at what is there and ship it; how many segments are left."""
        for path in segments.opened(self._spool.folder):
            self._spool.dropped["torn"] += segments.adopt(path)
        found = segments.survey(self._spool.folder)
        self._spool.bytes = found.bytes
        self._refused_bytes = found.refused_bytes
        self._spool.waiting = len(found.closed)
        self.behind = 0.0 if found.oldest is None else max(0.0, time.time() - found.oldest)
        if time.monotonic() < self._next_try:
            return len(found.closed)
        try:
            self._ready()
            for path in found.closed:
                self._ship(path)
                self._spool.waiting -= 1
                if time.monotonic() > self._deadline:
                    break
        except (psycopg2.Error, DatabaseError, OSError) as error:
            told = self._told(error)
            if told != self._last_told:
                self._last_told = told
                logger.warning("The prediction log waits for its database: %s", told)
            self._fail()
            return len(found.closed)
        self._pause = FIRST_PAUSE
        self._last_told = ""
        return self._spool.waiting

    def _fail(self) -> None:
        self._disconnect()
        self._next_try = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _ready(self) -> None:
        """Connected, and the notes of long ago removed."""
        if self._connection is None:
            self._connection = psycopg2.connect(self._url(), **_CONNECT)
            self.connected = True
        if time.monotonic() > self._next_prune:
            with self._connection, self._connection.cursor() as cursor:
                cursor.execute(_PRUNE, (NOTED_DAYS,))
            self._next_prune = time.monotonic() + _PRUNE_SECONDS

    def _disconnect(self) -> None:
        self.connected = False
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _url(self) -> str:
        self._last_url = url = self._url_file.read_text().strip()
        if not url.startswith(("postgresql://", "postgres://")):
            raise DatabaseError(
                f"{self._url_file} has to hold a URL, postgresql://user:password@host/database"
            )
        return url

    def _told(self, error: Exception) -> str:
        """What is wrong, without the password or a part of it that was taken for something else."""
        told = str(error).strip()
        password = self._last_url.partition("://")[2].rpartition("@")[0].partition(":")[2]
        for part in {password, unquote(password), *re.split("[@/?#:]", password)} - {""}:
            told = told.replace(part, "***")
        return told

    def _ship(self, path: Path) -> None:
        with segments.claimed(path) as file:
            if file is None:
                return
            try:
                rows = self._copy(path, file, one_by_one=False)
            except psycopg2.Error as error:
                if not statements.is_of_content(error):
                    raise
                file.seek(0)
                rows = self._copy(path, file, one_by_one=True)
            path.unlink()
            self.shipped += rows

    def _copy(self, path: Path, file: BinaryIO, *, one_by_one: bool) -> int:
        """Copy a segment in one transaction; returns the number of rows that are in the database by it."""
        kind, day = segments.kind_and_day(path)
        refused: list[bytes] = []
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute(_NOTE, (path.stem,))
            if cursor.rowcount == 0:
                return 0
            if kind == OUTCOMES:
                cursor.execute(statements.TEMPORARY)
                command = statements.COPY_OUTCOMES
            else:
                cursor.execute(statements.PARTITION, (day,))
                command = statements.COPY_PREDICTIONS
            if one_by_one:
                lines = file.read().splitlines(keepends=True)
                refused = _copy_good(cursor, command, lines)
                rows = len(lines) - len(refused)
            else:
                cursor.copy_expert(command, _Blocks(file, self._in_a_hurry), BLOCK_BYTES)
                rows = int(cursor.rowcount)
            if kind == OUTCOMES:
                cursor.execute(statements.UPSERT)
            self._put_aside(path, refused)
        self.refused += len(refused)
        return rows

    def _in_a_hurry(self) -> bool:
        return self._spool.waiting > HURRY_SEGMENTS or self._stopping.is_set()

    def _put_aside(self, path: Path, refused: list[bytes]) -> None:
        """Keep refused rows for somebody to look at."""
        if not refused:
            return
        aside = path.parent / REFUSED / path.name
        content = b"".join(refused)
        self._refused_bytes += len(content)
        if self._refused_bytes > REFUSED_SHARE * self._spool.limit_bytes:
            logger.error("The database refused %d rows of the prediction log; no more are kept", len(refused))
            return
        try:
            aside.parent.mkdir(mode=0o700, exist_ok=True)
            aside.touch(mode=0o600)
            aside.write_bytes(content)
        except OSError as error:
            logger.error("The database refused %d rows of the prediction log: %s", len(refused), error)
        else:
            logger.error("The database refused %d rows of the prediction log; see %s", len(refused), aside)


class _Blocks:
    """A segment for COPY, block by block, with pauses unless there is a hurry."""

    def __init__(self, file: BinaryIO, in_a_hurry: Callable[[], bool]) -> None:
        self._file, self._in_a_hurry = file, in_a_hurry

    def read(self, size: int) -> bytes:
        if not self._in_a_hurry():
            time.sleep(BLOCK_SECONDS)
        return self._file.read(size)


def _copy_good(cursor: Any, command: str, lines: list[bytes]) -> list[bytes]:
    """Copy what the database takes of `lines`, half by half; returns those that it refuses."""
    cursor.execute("SAVEPOINT half")
    try:
        with closing(BytesIO(b"".join(lines))) as content:
            cursor.copy_expert(command, content)
    except psycopg2.Error as error:
        if not statements.is_of_content(error):
            raise
        logger.debug("%s", error)
        cursor.execute("ROLLBACK TO SAVEPOINT half; RELEASE SAVEPOINT half")
        if len(lines) == 1:
            return lines
        middle = len(lines) // 2
        return [
            *_copy_good(cursor, command, lines[:middle]),
            *_copy_good(cursor, command, lines[middle:]),
        ]
    cursor.execute("RELEASE SAVEPOINT half")
    return []
