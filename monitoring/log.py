"""Where checks read what was logged and are noted: PostgreSQL, or a platform's server in front of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, ConfigDict

import usecases
from db import checks, releases
from db.checks import RecordedCheck
from db.databases import prepare
from db.migrate import upgrade
from db.platform import Platform, is_address
from db.session import advisory_lock
from errors import DatabaseError, UsageError
from monitoring import window as windows
from monitoring.window import Row, Window
from settings import Settings

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

NONE = timedelta(0)
PATH = "/modelyard/checks"
"""Where a platform's MLflow server has the record of checks."""


def here() -> Log:
    """The log of the stack that this process works on: where its MLflow is a server, beside that.

    Raises:
        DatabaseError: it cannot be reached.
    """
    if is_address(os.environ.get("MLFLOW_TRACKING_URI", "")):
        return Remote.of_environment()
    url = prepare(Settings()).modelyard
    upgrade(url)
    return Database(url)


def reach(use_case: str) -> timedelta:
    """So far back a check looks at least: over less than a period of the rhythm, days alone would differ."""
    rhythm = usecases.load(use_case).rhythm
    return rhythm.period if rhythm else NONE


class Pending(BaseModel):
    """What a check would look at now."""

    model_config = ConfigDict(frozen=True)

    newest: RecordedCheck | None
    window: Window | None
    """None where nothing was ever logged, or nothing has come since the newest check."""
    serving: int | None
    """The version that serves, on record."""
    late: int
    """Predictions of the newest check's time that came after it."""

    def asks(self) -> dict[str, Any] | None:
        """What the steps of a check are to be given; None where nothing came since the newest."""
        window = self.window
        if window is None or window.is_empty:
            return None
        version = window.version(self.serving)
        return {
            "window": window.model_dump(mode="json"),
            "version": version,
            "notes": [*_others(window, version), *_came_late(self.late)],
        }


class Log(Protocol):
    """What checks need of the prediction log and of the record of checks."""

    def alone(self, use_case: str) -> AbstractContextManager[None]:
        """Check the use case when nobody else does, where that can be told."""
        ...

    def pending(self, use_case: str, since: datetime | None, reach: timedelta = NONE) -> Pending:
        """What came since the last check, but in no less time than `reach`; or since a moment."""
        ...

    def draw(self, window: Window, version: int, *, known: bool) -> Iterator[Row]:
        """Rows of the window, as `monitoring.window.draw` has them."""
        ...

    def record(self, check: dict[str, Any]) -> int:
        """Note a check, by the arguments of `db.checks.record`; returns its number."""
        ...


@dataclass(frozen=True)
class Database:
    """The log in the migrated database at `url`."""

    url: str

    def alone(self, use_case: str) -> AbstractContextManager[None]:
        return advisory_lock(self.url, f"monitor {use_case}")

    def pending(self, use_case: str, since: datetime | None, reach: timedelta = NONE) -> Pending:
        until = checks.now(self.url) - timedelta(seconds=windows.SETTLE_SECONDS)
        if since is not None and since >= until:
            raise UsageError(
                f"A check can begin before {until.isoformat(timespec='seconds')}; not at {since}."
            )
        newest = checks.newest(self.url, use_case)
        begin = since or checks.watermark(self.url, use_case)
        late = self._late(newest) if newest is not None and newest.until == begin else 0
        if since is None and begin is not None:
            begin = min(begin, until - reach)
        stale = since is None and newest is not None and self._nothing_since(newest, until)
        window = None if stale else windows.survey(self.url, use_case, begin, until)
        # Wherever it does: the log has the predictions of all of its endpoints.
        known = releases.history(self.url, use_case=use_case)
        return Pending(
            newest=newest,
            window=window,
            serving=next((one.model_version for one in known if one.status == "serving"), None),
            late=late,
        )

    def draw(self, window: Window, version: int, *, known: bool) -> Iterator[Row]:
        field = usecases.contract_of(window.use_case).prediction_field
        return windows.draw(self.url, window, version, field, known=known)

    def record(self, check: dict[str, Any]) -> int:
        return checks.record(self.url, **check)

    def _nothing_since(self, newest: RecordedCheck, until: datetime) -> bool:
        window = windows.survey(self.url, newest.use_case, newest.until, until)
        return window is None or window.is_empty

    def _late(self, newest: RecordedCheck) -> int:
        now = windows.count(self.url, newest.use_case, newest.model_version, newest.since, newest.until)
        return max(0, now - int(newest.found["rows"]))


class Remote(Platform):
    """The same at a platform's MLflow server."""

    what = "The record of checks"
    error = DatabaseError
    seconds = 120.0

    def alone(self, use_case: str) -> AbstractContextManager[None]:  # noqa: ARG002
        return nullcontext()

    def pending(self, use_case: str, since: datetime | None, reach: timedelta = NONE) -> Pending:
        asked: dict[str, Any] = {"use_case": use_case, "reach": reach.total_seconds()}
        if since:
            asked["since"] = since.isoformat()
        return Pending.model_validate_json(self.ask("GET", f"{PATH}/pending", 200, params=asked).content)

    def draw(self, window: Window, version: int, *, known: bool) -> Iterator[Row]:
        body = {"window": window.model_dump(mode="json"), "version": version, "known": known}
        with self.asking("POST", f"{PATH}/rows", 200, json=body) as answer:
            for line in answer.iter_lines():
                yield tuple(json.loads(line))

    def record(self, check: dict[str, Any]) -> int:
        body = check | {"since": check["since"].isoformat(), "until": check["until"].isoformat()}
        return int(self.ask("POST", PATH, 201, json=body).json()["id"])

    def listed(self, use_case: str) -> list[RecordedCheck]:
        """The checks of a use case, the newest first."""
        found = self.ask("GET", PATH, 200, params={"use_case": use_case}).json()
        return [RecordedCheck.model_validate(one) for one in found]


def _others(window: Window, version: int) -> list[str]:
    return [
        f"{rows:,} predictions of version {other}: the check is about version {version}."
        for other, rows in sorted(window.rows.items())
        if other != version
    ]


def _came_late(rows: int) -> list[str]:
    if not rows:
        return []
    return [
        f"{rows:,} predictions that reached the database after the last check, although they are older: they "
        "waited on an endpoint's disk."
    ]
