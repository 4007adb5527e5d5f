"""Live progress on stderr: a spinner and a line per finished stage on a terminal, plain lines when piped."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.status import Status

# What ZenML 0.98 says of a step; its hooks are not called for cached steps.
_STARTED = re.compile(r"^Step `(.+)` has started\.$")
_FINISHED = re.compile(r"^Step `(.+)` has finished in ")
# Who says so: ZenML of a run on this machine, the watch of one in a cluster.
_SOURCES = ("zenml", "stacks.kubernetes.watch")
_CACHED = re.compile(r"^Using cached version of step `(.+)`\.$")


@dataclass(frozen=True)
class StageTime:
    """How long one stage of a command took."""

    name: str
    seconds: float
    cached: bool = False


@dataclass
class Progress:
    """The stages of one command, shown as they go and kept for the report."""

    console: Console = field(default_factory=lambda: Console(file=sys.__stderr__))
    times: list[StageTime] = field(default_factory=list)
    _start: float = field(default_factory=time.monotonic)
    _status: Status | None = None
    _begun: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A stage that ends with the block; nothing is shown as finished when the block raises."""
        self.start(name)
        try:
            yield
        except BaseException:
            self.rest()
            raise
        self.finish(name)

    @contextmanager
    def pipeline(self, name: str) -> Iterator[None]:
        """A pipeline run: each of its steps is a stage."""
        handler = _StepHandler(self, name)
        loggers = [logging.getLogger(source) for source in _SOURCES]
        for logger in loggers:
            logger.addHandler(handler)
        self.start(name)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeHandler(handler)
            self.rest()

    def start(self, name: str) -> None:
        """Show `name` as what goes on now."""
        self._begun[name] = time.monotonic()
        if self.console.is_terminal:
            self.rest()
            self._status = self.console.status(f"{name} …")
            self._status.start()

    def finish(self, name: str, *, cached: bool = False, seconds: float | None = None) -> None:
        """Show `name` as finished; it took `seconds` where it is known better than by when it began."""
        now = time.monotonic()
        begun = self._begun.pop(name, now)
        seconds = 0.0 if cached else now - begun if seconds is None else seconds
        self.times.append(StageTime(name, round(seconds, 2), cached))
        self.rest()
        took = "from the cache" if cached else f"{seconds:.1f} s"
        if self.console.is_terminal:
            self.console.print(f"[green]✓[/] {name} [dim]{took}[/]", highlight=False)
        else:
            self.console.print(f"{name}: {took}", highlight=False, markup=False, soft_wrap=True)

    def seconds(self) -> float:
        """Time since the command began."""
        return time.monotonic() - self._start

    def rest(self) -> None:
        """Nothing goes on: no spinner."""
        if self._status is not None:
            self._status.stop()
            self._status = None


class _StepHandler(logging.Handler):
    """Turns ZenML's messages on steps into stages."""

    def __init__(self, progress: Progress, pipeline: str) -> None:
        super().__init__(logging.INFO)
        self._progress = progress
        self._pipeline = pipeline

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if match := _STARTED.match(message):
            self._progress.start(f"{self._pipeline}: {match[1]}")
        elif match := _FINISHED.match(message):
            self._progress.finish(f"{self._pipeline}: {match[1]}", seconds=getattr(record, "seconds", None))
        elif match := _CACHED.match(message):
            self._progress.finish(f"{self._pipeline}: {match[1]}", cached=True)
