"""Whether a model, or what it learnt from, is too old."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from usecases.base import UseCase

_DAY = timedelta(days=1)


class Age(NamedTuple):
    """How old one thing is."""

    what: Literal["data", "model"]
    of: datetime
    """Of the newest row of the data files; of the training."""
    outdated_after: timedelta
    outdated: bool

    def sentence(self, now: datetime) -> str:
        """For a person."""
        what = "The newest row it knows is of" if self.what == "data" else "It was trained on"
        days = (now - self.of) // _DAY
        bound = f"after {self.outdated_after / _DAY:g} it is outdated"
        return f"{what} {self.of:%Y-%m-%d}, {days:,} days ago; {bound}."


def ages(use_case: UseCase, provenance: Mapping[str, str], now: datetime) -> list[Age]:
    """Of a model version and its data, as far as the use case says when they are outdated.

    `provenance` has `trained_at` and, where rows have a moment, `newest_row`; a moment without a zone is
    taken for UTC.
    """
    bounds = use_case.outdated_after
    found = []
    for what, key, bound in (("data", "newest_row", bounds.data), ("model", "trained_at", bounds.model)):
        if bound is not None and provenance.get(key):
            of = datetime.fromisoformat(provenance[key])
            of = of if of.tzinfo else of.replace(tzinfo=UTC)
            found.append(Age(what, of, bound, now - of > bound))  # type: ignore[arg-type]
    return found


def outdated(use_case: UseCase, provenance: Mapping[str, str], now: datetime) -> list[str]:
    """What is too old, in sentences."""
    return [age.sentence(now) for age in ages(use_case, provenance, now) if age.outdated]
