"""Rows of the prediction log on their way: formatted for COPY, gathered in memory, appended to segments.

What serves requests never waits for the database and never fails for the log's sake: rows that find no place
are dropped and counted. A process that is killed loses what `flush` has not written yet.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from pathlib import Path

from serving.log import segments
from serving.log.segments import CLOSED, OUTCOMES, PREDICTIONS

SEGMENT_BYTES = 1_000_000
SEGMENT_SECONDS = 1.0
FLUSH_BYTES = 256_000
"""So much is written at once, without waiting for the next flush."""
NOTED_ROWS, NOTED_BYTES = 64, 4_096
"""So many rows are formatted at once, unless one has more bytes. One by one the log costs twice as much: a
prediction's trees, between two of them, leave nothing in the processor's caches."""
COMPLAINT_SECONDS = 60.0

_TAB, _NEWLINE, _RETURN, _BACKSLASH = b"\t\n\r\\"
_SPACES = bytes.maketrans(b"\t\n\r", b"   ")
_NULL = "\\N"

logger = logging.getLogger("modelyard.log")


class Spool:
    """The log of one worker. Its methods are for one thread, the one that answers requests."""

    def __init__(self, folder: Path, limit_bytes: int, use_case: str) -> None:
        """Write to `folder`, shared with other workers, as long as it holds less than `limit_bytes`.

        Raises:
            OSError: the folder cannot be made or read.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self.limit_bytes = limit_bytes
        self.written = 0
        """Rows."""
        self.dropped = {"full": 0, "disk": 0, "torn": 0}
        """Rows by reason: the limit is reached, the disk takes no more, a killed worker left half of one."""
        found = segments.survey(folder)
        self.bytes = found.bytes
        """In the folder, of all workers; the shipper looks anew all the time."""
        self.waiting = len(found.closed)
        """Segments that are to be shipped; counted by the shipper."""
        self._use_case = text_field(use_case)
        token = secrets.token_hex(8)
        self._predictions = _Stream(self, PREDICTIONS, token)
        self._outcomes = _Stream(self, OUTCOMES, token)
        self._noted: list[tuple[str, int, float, int, str | None, bytes, bytes, float]] = []
        """What `predicted` was told and `_format` has not seen."""
        self._second = -1
        self._prefix = ""
        self._buffered = 0
        self._complained = float("-inf")

    def predicted(
        self,
        request_id: str,
        row: int,
        at: float,
        version: int,
        trace: str | None,
        inputs: bytes,
        output: bytes,
        seconds: float,
    ) -> None:
        """Note an answer: `inputs` and `output` are JSON, `request_id` and `trace` of letters, digits, `._-`.

        A NUL character, `\\u0000`, is noted as U+FFFD: PostgreSQL has none in its JSON.
        """
        self._noted.append((request_id, row, at, version, trace, inputs, output, seconds))
        if len(self._noted) >= NOTED_ROWS or len(inputs) > NOTED_BYTES:
            self._format()
            if self._buffered > FLUSH_BYTES:
                self.flush()

    def outcome(self, request_id: str, row: int, value: float, at: float) -> None:
        """Note what came true of a prediction."""
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at))
        moment = f"{moment}.{int(at % 1 * 1e6):06d}+00"
        line = f"{self._use_case}\t{text_field(request_id)}\t{row}\t{value!r}\t{moment}\n".encode()
        self._outcomes.lines.append(line)
        self._buffered += len(line)
        if self._buffered > FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered, and close segments that are large or old enough to be shipped."""
        self._format()
        self._buffered = 0
        for stream in (self._predictions, self._outcomes):
            stream.flush()
            stream.close_when_due()

    def close(self) -> None:
        """Write what was gathered and close the segments; a spool that is used again begins new ones."""
        self.flush()
        for stream in (self._predictions, self._outcomes):
            stream.close()

    def drop(self, reason: str, rows: int, why: object) -> None:
        """Count rows that are lost; once a minute it is said why."""
        self.dropped[reason] += rows
        if time.monotonic() - self._complained > COMPLAINT_SECONDS:
            self._complained = time.monotonic()
            logger.warning("Predictions are dropped instead of logged: %s", why)

    def wrote(self, rows: int, size: int) -> None:
        """Count rows that were written."""
        self.written += rows
        self.bytes += size

    def _format(self) -> None:
        """Make rows of COPY of what was noted."""
        noted, self._noted = self._noted, []
        append = self._predictions.lines.append
        for request_id, row, at, version, trace, inputs, output, seconds in noted:
            second = int(at)
            if second != self._second:
                self._begin(second)
            # In valid JSON these are white space between tokens, or else they are escaped.
            if _NEWLINE in inputs or _TAB in inputs or _RETURN in inputs:
                inputs = inputs.translate(_SPACES)
            if _BACKSLASH in inputs:
                inputs = escaped(inputs)
            if _BACKSLASH in output:
                output = escaped(output)
            # This is the quickest way to write it, by a fifth.
            head = "%s%06d+00\t%s\t%d\t%d\t%s\t%de-6" % (  # noqa: UP031
                self._prefix,
                (at - second) * 1e6,
                request_id,
                row,
                version,
                trace or _NULL,
                seconds * 1e6,
            )
            line = b"%b\t%b\t%b\n" % (head.encode(), inputs, output)
            append(line)
            self._buffered += len(line)

    def _begin(self, second: int) -> None:
        """A second begins; with a new day a new segment, since each day has its partition."""
        day = time.strftime("%Y%m%d", time.gmtime(second))
        if day != self._predictions.day:
            self._predictions.flush()
            self._predictions.close()
            self._predictions.day = day
        self._second = second
        self._prefix = f"{self._use_case}\t{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(second))}."


class _Stream:
    """Rows of one kind, and the segment they go to."""

    def __init__(self, spool: Spool, kind: str, token: str) -> None:
        self.lines: list[bytes] = []
        self.day = "any"
        self._spool = spool
        self._kind = kind
        self._token = token
        self._file: tuple[int, Path] | None = None
        self._size = 0
        self._begun = 0.0

    def flush(self) -> None:
        rows = len(self.lines)
        if not rows:
            return
        content = b"".join(self.lines)
        self.lines.clear()
        spool = self._spool
        if spool.bytes + len(content) > spool.limit_bytes:
            spool.drop("full", rows, f"{spool.folder} holds {spool.bytes:,} of {spool.limit_bytes:,} bytes")
            return
        try:
            self._write(content)
        except OSError as error:
            self._cut_back()
            spool.drop("disk", rows, error)
        else:
            self._size += len(content)
            spool.wrote(rows, len(content))

    def close_when_due(self) -> None:
        """While segments pile up, fewer and longer ones: a day without a database are some hundreds."""
        age = time.monotonic() - self._begun
        if self._size >= SEGMENT_BYTES or age >= SEGMENT_SECONDS * (1 + self._spool.waiting):
            self.close()

    def close(self) -> None:
        if self._file is None:
            return
        descriptor, path = self._file
        self._file = None
        try:
            path.rename(path.with_suffix(CLOSED))
        except OSError as error:
            logger.warning("A segment of the prediction log is left to others: %s", error)
        finally:
            os.close(descriptor)

    def _write(self, content: bytes) -> None:
        if self._file is None:
            self._file = segments.create(self._spool.folder, self._kind, self.day, self._token)
            self._size = 0
            self._begun = time.monotonic()
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self._file[0], rest) :]

    def _cut_back(self) -> None:
        """Undo half a write. Where that fails, too, whoever finds the segment cuts off what is torn."""
        if self._file is None:
            return
        try:
            os.ftruncate(self._file[0], self._size)
        except OSError:
            os.close(self._file[0])
            self._file = None


def escaped(json: bytes) -> bytes:
    """JSON as a field of COPY; U+FFFD stands for the character NUL, which PostgreSQL has not."""
    return json.replace(b"\\u0000", b"\\ufffd").replace(b"\\", b"\\\\")


def text_field(text: str) -> str:
    """Any text as a field of COPY."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
