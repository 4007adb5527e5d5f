from __future__ import annotations

from datetime import UTC, datetime, timedelta

from monitoring.freshness import ages, outdated
from tests.toy import toy
from usecases.base import OutdatedAfter

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
BOUNDS = OutdatedAfter(data=timedelta(days=90), model=timedelta(days=30))


def test_each_age_is_judged_by_its_own_bound() -> None:
    case = toy(outdated_after=BOUNDS)
    tags = {"newest_row": "2026-10-31T23:59:00", "trained_at": "2026-10-01T00:00:00+00:00"}
    assert [(age.what, age.outdated) for age in ages(case, tags, NOW)] == [("data", False), ("model", True)]
    assert outdated(case, tags, NOW) == [
        "It was trained on 2026-10-01, 56 days ago; after 30 it is outdated."
    ]


def test_exactly_at_the_bound_nothing_is_outdated_yet() -> None:
    case = toy(outdated_after=OutdatedAfter(model=timedelta(days=1)))
    assert outdated(case, {"trained_at": "2026-11-25T12:00:00+00:00"}, NOW) == []
    assert len(outdated(case, {"trained_at": "2026-11-25T11:59:59+00:00"}, NOW)) == 1


def test_what_has_no_bound_or_is_not_known_is_never_outdated() -> None:
    assert ages(toy(), {"trained_at": "2001-01-01T00:00:00+00:00"}, NOW) == []
    assert ages(toy(outdated_after=BOUNDS), {}, NOW) == []
