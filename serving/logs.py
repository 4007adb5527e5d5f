"""What an endpoint's process writes to stderr: one JSON object a line, and never so many that a disk fills.

{"time": "…", "level": "INFO", "logger": "modelyard.endpoint", "message": "Refused: invalid",
 "request_id": "5f0c…", "route": "predict", "status": 422}
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

PER_SECOND = 10
"""Lines that one place in the code may write in a second; more are counted."""
MAX_CHARACTERS = 10_000
"""Of a message and of an exception; the middle of longer ones is left out."""

_EXTRA = ("request_id", "trace_id", "route", "status")


class Lines(logging.Formatter):
    """Records as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _cut(record.getMessage()),
        }
        line |= {name: value for name in _EXTRA if (value := getattr(record, name, None))}
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = _cut("".join(traceback.format_exception(*record.exc_info)).rstrip())
        return json.dumps(line, default=str)


class Limit(logging.Filter):
    """Lets `PER_SECOND` records a second through from each place in the code, and counts the others."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._second = 0
        self._counts: dict[tuple[str, int], tuple[int, logging.LogRecord]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if int(time.monotonic()) != self._second:
            self.tell()
        place = (record.pathname, record.lineno)
        with self._lock:
            count = self._counts[place][0] + 1 if place in self._counts else 1
            self._counts[place] = (count, record)
        return count <= PER_SECOND

    def tell(self) -> None:
        """Begin a new second, and say how much of the last one was left out."""
        with self._lock:
            counts, self._counts, self._second = self._counts, {}, int(time.monotonic())
        for count, record in counts.values():
            if count > PER_SECOND:
                more = f"{record.getMessage()}: and {count - PER_SECOND:,} more"
                logging.getLogger(record.name).log(record.levelno, more)


def set_up() -> Limit:
    """Let all of this process write such lines: its libraries, warnings, what ends it."""
    limit = Limit()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    handler.addFilter(limit)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in ("modelyard", "bentoml"):
        logging.getLogger(name).setLevel(logging.INFO)
    logging.captureWarnings(True)
    sys.excepthook = _ends
    threading.excepthook = lambda said: _ends(
        said.exc_type, said.exc_value or said.exc_type(), said.exc_traceback
    )
    return limit


def readable(line: str) -> str:
    """A line of such a log for a person: the message, and the exception if there is one."""
    try:
        found: Any = json.loads(line)
    except ValueError:
        return line
    if not isinstance(found, dict) or "message" not in found:
        return line
    return "\n".join(str(found[name]) for name in ("message", "exception") if found.get(name))


def _ends(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("modelyard.endpoint").critical(
        "%s: %s", kind.__name__, error, exc_info=(kind, error, trace)
    )


def _cut(text: str) -> str:
    left = len(text) - MAX_CHARACTERS
    half = MAX_CHARACTERS // 2
    return text if left <= 0 else f"{text[:half]}… {left:,} characters left out …{text[-half:]}"
