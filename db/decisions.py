"""The table of decisions: what was decided about a use case, upon what, and what came of it.

begun → done | failed | abandoned

Whoever decides holds a lock, so that of two at once one works. Who gets it knows that a decision which is
still `begun` is of a process that is gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, insert, select, update

from db.models import decisions
from db.session import advisory_lock, connect
from errors import DatabaseError

GONE = "its process was gone"


class Recorded(BaseModel):
    """One decision as it is on record."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: int
    use_case: str
    decision: str
    reasons: list[str]
    evidence: dict[str, Any]
    status: str
    result: dict[str, Any] | None
    decided_by: str
    at: datetime
    ended_at: datetime | None


@contextmanager
def alone(url: str, use_case: str) -> Iterator[None]:
    """Hold the lock that trainings of the use case take, and give up what a dead process had begun.

    Raises:
        Busy: another process trains or decides.
    """
    with advisory_lock(url, f"train {use_case}"):
        with connect(url) as connection:
            begun = (decisions.c.use_case == use_case) & (decisions.c.status == "begun")
            gone = {"status": "abandoned", "result": {"error": GONE}, "ended_at": func.now()}
            connection.execute(update(decisions).where(begun).values(gone))
        yield


def begin(
    url: str,
    *,
    use_case: str,
    decision: str,
    reasons: Sequence[str],
    evidence: Mapping[str, Any],
    decided_by: str,
) -> int:
    """Note what was decided and is done from now on; returns its id. Only within `alone`."""
    return _insert(url, use_case, decision, reasons, evidence, decided_by, status="begun")


def note_nothing(
    url: str, *, use_case: str, reasons: Sequence[str], evidence: Mapping[str, Any], decided_by: str
) -> int:
    """Note that nothing is to be done; returns its id.

    Decided again for the same reasons, it is that decision still: a loop that looks every minute leaves a
    row for each change and not for each minute.
    """
    last = history(url, use_case, limit=1)
    if last and last[0].decision == "nothing" and last[0].reasons == list(reasons):
        return last[0].id
    return _insert(
        url, use_case, "nothing", reasons, evidence, decided_by, status="done", ended_at=func.now()
    )


def end(url: str, decision: int, status: str, result: Mapping[str, Any]) -> None:
    """Note what came of a decision: `done`, `failed` or, when a person broke it off, `abandoned`.

    Raises:
        DatabaseError: it has ended already, since another process took this one for gone.
    """
    begun = (decisions.c.id == decision) & (decisions.c.status == "begun")
    values = {"status": status, "result": dict(result), "ended_at": func.now()}
    with connect(url) as connection:
        ended = connection.execute(update(decisions).where(begun).values(values)).rowcount
    if not ended:
        raise DatabaseError(
            f"Decision {decision} has ended already: the lock on it was lost, as when PostgreSQL is "
            "restarted, and another process took over."
        )


def history(url: str, use_case: str, *, limit: int = 100) -> list[Recorded]:
    """The newest decisions first."""
    query = select(decisions).where(decisions.c.use_case == use_case)
    with connect(url) as connection:
        found = connection.execute(query.order_by(decisions.c.id.desc()).limit(limit))
        return [Recorded.model_validate(row) for row in found]


def retrainings(url: str, use_case: str, attempt: str) -> list[Recorded]:
    """Retrainings of exactly what `attempt` names that have ended, newest first."""
    query = select(decisions).where(
        decisions.c.use_case == use_case,
        decisions.c.decision == "retrain",
        decisions.c.status != "begun",
        decisions.c.evidence["attempt"].astext == attempt,
    )
    with connect(url) as connection:
        found = connection.execute(query.order_by(decisions.c.id.desc()))
        return [Recorded.model_validate(row) for row in found]


def _insert(
    url: str,
    use_case: str,
    decision: str,
    reasons: Sequence[str],
    evidence: Mapping[str, Any],
    decided_by: str,
    **more: Any,
) -> int:
    values = {
        "use_case": use_case,
        "decision": decision,
        "reasons": list(reasons),
        "evidence": dict(evidence),
        "decided_by": decided_by,
        **more,
    }
    with connect(url) as connection:
        made: int = connection.execute(
            insert(decisions).values(values).returning(decisions.c.id)
        ).scalar_one()
    return made
