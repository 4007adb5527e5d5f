"""What a model version would have answered, beside what was answered."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from usecases.base import Array

TIMED = 1_000
"""Requests that are answered one by one, to see how long each takes."""


class Answers(BaseModel):
    """How far two models' answers to the same requests are apart."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    same: float
    """Share of the rows in which they differ by no more than a compiled model may from its estimator."""
    mean: float
    """Of the new answer less the old one: whether it is higher as a whole."""
    median: float
    """Of the distances, like those below."""
    p95: float
    largest: float


class Speed(BaseModel):
    """Microseconds from a request's bytes to its prediction, in this process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    median: float
    p99: float


def apart(old: Array, new: Array, *, parity: float) -> Answers:
    """The distances between two arrays of answers, which are not empty."""
    distances = np.abs(new - old)
    median, p95 = np.quantile(distances, (0.5, 0.95))
    return Answers(
        rows=len(old),
        same=float((distances <= parity).mean()),
        mean=float((new - old).mean()),
        median=float(median),
        p95=float(p95),
        largest=float(distances.max()),
    )


def speeds(answers: Sequence[Callable[[str], object]], requests: Iterable[str]) -> list[Speed]:
    """How fast each of several models answers; they take turns, so that a busy machine is busy for all."""
    taken: list[list[float]] = [[] for _ in answers]
    for request in islice(requests, TIMED):
        for answer, times in zip(answers, taken, strict=True):
            before = time.perf_counter()
            answer(request)
            times.append((time.perf_counter() - before) * 1e6)
    return [
        Speed(median=float(median), p99=float(p99))
        for median, p99 in (np.quantile(times, (0.5, 0.99)) for times in taken)
    ]


def fair(sample: Array, rows: Array, share: float, chance: np.random.Generator, size: int) -> Array:
    """At most `size` rows of a sample and of rows that came after it, each as likely as any other.

    The first column of a sample is a row's lot; `rows`, which are a `share` of those that came, get lots
    below that share, as if all that came had drawn lots and only the lower ones were kept.
    """
    new = np.column_stack([chance.random(len(rows)) * share, rows])
    both = np.concatenate([sample, new])
    return both if len(both) <= size else both[np.argpartition(both[:, 0], size)[:size]]
