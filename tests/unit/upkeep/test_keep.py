"""How much of the past stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from errors import UsageError
from upkeep.keep import Keep, parse

NOW = datetime(2024, 3, 1, tzinfo=UTC)
MADE = [NOW - timedelta(days=days) for days in (1, 40, 3, 2)]


@pytest.mark.parametrize(
    ("text", "keep"),
    [
        ("20", Keep(newest=20)),
        ("0", Keep(newest=0)),
        ("48h", Keep(younger=timedelta(hours=48))),
        (" 30d ", Keep(younger=timedelta(days=30))),
        ("12w", Keep(younger=timedelta(weeks=12))),
    ],
)
def test_a_number_is_so_many_and_an_age_is_what_is_younger(text: str, keep: Keep) -> None:
    assert parse(text) == keep


@pytest.mark.parametrize("text", ["", "d", "-1", "3.5", "30 days", "1y", "30D", "9999999"])
def test_anything_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError, match="such as 20, or an age, such as 48h, 30d or 12w"):
        parse(text)


def test_so_many_of_the_newest_stay() -> None:
    assert parse("2").of(MADE, lambda made: made, NOW) == [MADE[0], MADE[3]]
    assert parse("0").of(MADE, lambda made: made, NOW) == []


def test_all_that_is_young_enough_stays() -> None:
    assert parse("1w").of(MADE, lambda made: made, NOW) == [MADE[0], MADE[3], MADE[2]]
    assert parse("24h").of(MADE, lambda made: made, NOW) == []
