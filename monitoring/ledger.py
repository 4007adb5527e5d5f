"""What is decided upon, and what was decided: in PostgreSQL, or at a platform's server in front of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import TypeAdapter

from db import checks, decisions, releases
from db.checks import RecordedCheck
from db.decisions import Recorded
from db.platform import Platform
from db.recorded import PATH as RELEASES
from db.recorded import Recorded as Release
from errors import DatabaseError
from monitoring.log import PATH as CHECKS

PATH = "/modelyard/decisions"
"""Where a platform's MLflow server has the record of decisions."""

_DECISIONS = TypeAdapter(list[Recorded])
_RELEASES = TypeAdapter(list[Release])
_CHECKED = TypeAdapter(list[RecordedCheck])


class Ledger(Protocol):
    """What whoever decides reads and notes."""

    def decisions(self, use_case: str, limit: int = 100) -> Sequence[Recorded]:
        """The newest decisions first."""
        ...

    def retrainings(self, use_case: str, attempt: str) -> Sequence[Recorded]:
        """Those that tried what `attempt` names, and have ended; newest first."""
        ...

    def releases(self, use_case: str, target: str) -> Sequence[Release]:
        """The newest releases first."""
        ...

    def checks(self, use_case: str) -> Sequence[RecordedCheck]:
        """The newest checks first."""
        ...

    def note(self, decision: str, about: Mapping[str, Any], run: str | None = None) -> int:
        """Note a decision, by the arguments of `db.decisions.begin`; returns its number.

        Raises:
            DatabaseError: another one is under way.
        """
        ...

    def end(self, number: int, status: str, result: Mapping[str, Any]) -> None:
        """Note what came of it."""
        ...


@dataclass(frozen=True)
class Database:
    """The record in the migrated database at `url`."""

    url: str

    def decisions(self, use_case: str, limit: int = 100) -> Sequence[Recorded]:
        return decisions.history(self.url, use_case, limit=limit)

    def retrainings(self, use_case: str, attempt: str) -> Sequence[Recorded]:
        return decisions.retrainings(self.url, use_case, attempt)

    def releases(self, use_case: str, target: str) -> Sequence[Release]:
        return releases.history(self.url, use_case=use_case, target=target)

    def checks(self, use_case: str) -> Sequence[RecordedCheck]:
        return checks.listed(self.url, use_case)

    def note(self, decision: str, about: Mapping[str, Any], run: str | None = None) -> int:
        if decision == "nothing":
            return decisions.note_nothing(self.url, **about)
        return decisions.begin(self.url, decision=decision, run=run, **about)

    def end(self, number: int, status: str, result: Mapping[str, Any]) -> None:
        decisions.end(self.url, number, status, result)


class Remote(Platform):
    """The same at a platform's MLflow server."""

    what = "The record of decisions"
    error = DatabaseError

    def decisions(self, use_case: str, limit: int = 100) -> Sequence[Recorded]:
        return _DECISIONS.validate_json(self._get(PATH, use_case=use_case, limit=limit))

    def retrainings(self, use_case: str, attempt: str) -> Sequence[Recorded]:
        return _DECISIONS.validate_json(self._get(PATH, use_case=use_case, attempt=attempt))

    def releases(self, use_case: str, target: str) -> Sequence[Release]:
        return _RELEASES.validate_json(self._get(RELEASES, use_case=use_case, target=target))

    def checks(self, use_case: str) -> Sequence[RecordedCheck]:
        return _CHECKED.validate_json(self._get(CHECKS, use_case=use_case))

    def note(self, decision: str, about: Mapping[str, Any], run: str | None = None) -> int:
        body = {"decision": decision, "run": run, **about}
        return int(self.ask("POST", PATH, 201, json=body).json()["id"])

    def end(self, number: int, status: str, result: Mapping[str, Any]) -> None:
        self.ask("POST", f"{PATH}/{number}/end", 204, json={"status": status, "result": dict(result)})

    def _get(self, path: str, **asked: Any) -> bytes:
        return self.ask("GET", path, 200, params=asked).content
