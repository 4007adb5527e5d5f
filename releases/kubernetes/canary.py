"""A canary beside the pods that serve: how large its share is, and whether it does as well as they do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MIN_REQUESTS = 50
"""So many requests must reach the canary before it is judged."""
MORE_ERRORS = 0.01
"""So much larger its share of failed requests may be: 0.01 is one percent of its requests."""
SLOWER, SLACK_SECONDS = 1.5, 0.005
"""Its mean time to answer may be `SLOWER` times that of the others, and `SLACK_SECONDS` more."""

_ROUTES = ("predict", "predict_batch", "infer")


@dataclass(frozen=True)
class Counts:
    """What endpoints have counted of their requests for predictions."""

    requests: float = 0.0
    errors: float = 0.0
    """Of them those that the endpoint failed at: 5xx. What it refused (4xx) is the caller's."""
    seconds: float = 0.0
    """Time to answer, of all of them together."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.requests + other.requests, self.errors + other.errors, self.seconds + other.seconds
        )

    def __sub__(self, other: Counts) -> Counts:
        return Counts(
            self.requests - other.requests, self.errors - other.errors, self.seconds - other.seconds
        )

    @property
    def error_share(self) -> float:
        """Failed requests among all."""
        return self.errors / self.requests if self.requests else 0.0

    @property
    def mean_seconds(self) -> float:
        """Mean time to answer."""
        return self.seconds / self.requests if self.requests else 0.0


@dataclass
class Growth:
    """What some pods have counted since each of them was first looked at; pods may come and go."""

    first: dict[str, Counts] = field(default_factory=dict)
    last: dict[str, Counts] = field(default_factory=dict)

    def see(self, pods: Mapping[str, Counts]) -> None:
        """Take note of what each pod has counted up to now."""
        for name, counted in pods.items():
            self.first.setdefault(name, counted)
            self.last[name] = counted

    def total(self) -> Counts:
        """Their growth together."""
        return sum((self.last[name] - self.first[name] for name in self.last), Counts())


def counts(metrics: str) -> Counts:
    """The counts out of an endpoint's `/metrics`, in Prometheus' text format."""
    from prometheus_client.parser import text_string_to_metric_families

    requests = errors = seconds = 0.0
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.labels.get("route") not in _ROUTES:
                continue
            if sample.name == "modelyard_requests_total":
                requests += sample.value
                errors += sample.value if sample.labels["status"].startswith("5") else 0.0
            elif sample.name == "modelyard_request_duration_seconds_sum":
                seconds += sample.value
    return Counts(requests, errors, seconds)


def replicas(stable: int, share: float) -> int:
    """How many pods beside `stable` others come nearest to `share` of all requests; at least one."""
    return max(1, round(stable * share / (1 - share)))


def share_in_words(stable: int, canary: int, asked: float) -> str:
    """The share that the canary really takes, and why it is not the one that was asked for."""
    takes = canary / (stable + canary)
    words = f"{canary} of {stable + canary} pods, {takes:.0%} of the requests"
    if abs(takes - asked) < 0.02:
        return words
    return f"{words}; {asked:.0%} would take {round(1 / asked) - 1} pods beside one"


def failing(stable: Counts, canary: Counts) -> str | None:
    """Why the canary is to go at once, or None."""
    if canary.errors >= 5 and canary.error_share > stable.error_share + MORE_ERRORS:
        return (
            f"it failed at {canary.errors:.0f} of {canary.requests:.0f} requests ({canary.error_share:.1%}), "
            f"the others at {stable.error_share:.1%}"
        )
    return None


def verdict(stable: Counts, canary: Counts) -> str | None:
    """Why the canary is to go after its time, or None: it does as well as the others."""
    if canary.requests < MIN_REQUESTS:
        return f"only {canary.requests:.0f} requests reached it, and {MIN_REQUESTS} are needed to compare"
    if reason := failing(stable, canary):
        return reason
    allowed = stable.mean_seconds * SLOWER + SLACK_SECONDS
    if stable.requests and canary.mean_seconds > allowed:
        return (
            f"it took {canary.mean_seconds * 1000:.1f} ms to answer, the others "
            f"{stable.mean_seconds * 1000:.1f}; up to {allowed * 1000:.1f} would do"
        )
    return None


def percent(text: str) -> float:
    """`10%` or `10` → 0.1.

    Raises:
        ValueError: it is no number above 0 and below 100.
    """
    value = float(text.strip().removesuffix("%")) / 100
    if not 0 < value < 1:
        raise ValueError(f"no share: {text}")
    return value
