"""Which versions may be released without an approval."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from db.recorded import Recorded
from errors import GateNotPassed
from releases.approval import require
from tracking.registry import Version

VERSION = Version(name="taxi", number=3, run="", source="", tags={})
NOW = datetime(2026, 11, 26, tzinfo=UTC)


def release(**more: Any) -> Recorded:
    fields: dict[str, Any] = dict.fromkeys(Recorded.model_fields) | {
        "id": 1,
        "use_case": "taxi",
        "model_version": 3,
        "bento": "taxi:3",
        "target": "local",
        "released_by": "someone@somewhere",
        "created_at": NOW,
        "verified_at": NOW,
    }
    return Recorded(**fields | more)


@pytest.mark.parametrize("status", ["serving", "superseded", "stopped"])
def test_what_has_served_may_always_be_gone_back_to(status: str) -> None:
    require(VERSION, [], [release(status=status)])


@pytest.mark.parametrize(
    "other",
    [
        {"status": "withdrawn"},
        {"status": "canary"},
        {"status": "failed", "reason": "it did not start", "verified_at": None},
        {"status": "serving", "model_version": 2},
    ],
)
def test_a_version_that_never_took_all_requests_needs_one(other: dict[str, Any]) -> None:
    with pytest.raises(
        GateNotPassed, match=r"Version 3 of taxi was not approved.* approve taxi 3$"
    ) as refused:
        require(VERSION, [], [release(**other)])
    assert refused.value.exit_code == 3
