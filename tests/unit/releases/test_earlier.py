"""What a rollback goes back to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from db.recorded import Recorded
from errors import UsageError
from releases.earlier import earlier

THEN = datetime(2026, 11, 26, tzinfo=UTC)


def release(number: int, version: int, status: str, **changes: Any) -> Recorded:
    fields: dict[str, Any] = {
        "id": number,
        "use_case": "taxi",
        "model_version": version,
        "bento": f"taxi:{version}-abc",
        "image": f"registry.example.com/serving@sha256:{version:064}",
        "target": "kubernetes",
        "status": status,
        "verified_at": THEN,
        "created_at": THEN,
        "released_by": "someone@somewhere",
    }
    unset = dict.fromkeys(("why", "reason", "address", "pid", "pid_started", "zenml_run", "ended_at"))
    return Recorded(**(fields | unset | changes))


KNOWN = [
    release(7, 4, "failed", verified_at=None),
    release(6, 3, "serving"),
    release(5, 9, "withdrawn"),
    release(4, 3, "superseded"),
    release(3, 2, "superseded"),
    release(2, 1, "stopped"),
    release(1, 2, "superseded"),
]


def test_it_goes_back_to_the_newest_that_served_something_else() -> None:
    assert earlier(KNOWN, None).id == 3


def test_it_goes_back_to_the_newest_release_of_the_version_that_was_asked_for() -> None:
    assert earlier(KNOWN, 1).id == 2
    assert earlier(KNOWN, 2).id == 3


@pytest.mark.parametrize("version", [3, 4, 9, 77])
def test_what_serves_now_or_never_served_is_no_way_back(version: int) -> None:
    with pytest.raises(UsageError, match=f"of version {version} to go back to.*served before: 1, 2\\."):
        earlier(KNOWN, version)


def test_where_nothing_serves_the_last_that_did_comes_back() -> None:
    stopped = [release(2, 5, "stopped"), release(1, 4, "superseded")]
    assert earlier(stopped, None).id == 2


def test_without_an_image_bentos_tell_releases_apart() -> None:
    here = [release(2, 5, "serving", image=None), release(1, 5, "superseded", image=None)]
    with pytest.raises(UsageError, match="an earlier version"):
        earlier(here, None)
