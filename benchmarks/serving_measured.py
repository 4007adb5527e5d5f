"""What the rounds gave for each server, and medians over them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from benchmarks.serving_load import Load


@dataclass(frozen=True)
class Round:
    """One server in one round: started, warmed, put under each load, stopped."""

    start: float
    """Seconds to the first answer."""
    memory: list[float]
    """Of each of its processes after the load, in MB, the largest first."""
    loads: dict[int, Load]
    """By the number of connections."""


@dataclass(frozen=True)
class Measured:
    """One server over all rounds; every figure is the median."""

    rounds: list[Round]

    @property
    def start(self) -> float:
        """Seconds to the first answer."""
        return median(one.start for one in self.rounds)

    @property
    def memory(self) -> float:
        """MB of all its processes."""
        return median(sum(one.memory) for one in self.rounds)

    @property
    def worker_memory(self) -> float:
        """MB of its largest process."""
        return median(one.memory[0] for one in self.rounds)

    @property
    def wrong(self) -> int:
        """Requests that were not answered as they should be, of all rounds."""
        return sum(load.wrong for one in self.rounds for load in one.loads.values())

    def rate(self, connections: int) -> float:
        """Answers a second."""
        return self._median(connections, lambda load: load.rate)

    def p50(self, connections: int) -> float:
        """Milliseconds."""
        return self._median(connections, lambda load: load.p50)

    def p99(self, connections: int) -> float:
        """Milliseconds."""
        return self._median(connections, lambda load: load.p99)

    def cpu(self, connections: int) -> float:
        """CPU seconds for 1,000 answers."""
        return self._median(connections, lambda load: load.cpu)

    def _median(self, connections: int, figure: Callable[[Load], float]) -> float:
        return median(figure(one.loads[connections]) for one in self.rounds)
