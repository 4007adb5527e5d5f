"""The table of decisions: what was decided about a use case, upon what, and what came of it.

begun → done | failed | abandoned

On a machine whoever decides holds a lock, so that of two at once one works. Who gets it knows that a decision
which is still `begun` is of a process that is gone. In a cluster it is begun by a run, which ZenML
knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from db.models import decisions
from db.session import advisory_lock, connect
from errors import Busy, DatabaseError

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
    run: str | None = None,
) -> int:
    """Note what was decided and is done from now on; returns its id. Only within `alone`, or by a `run`.

    Raises:
        Busy: another one is under way.
    """
    known = {"result": {"run": run}} if run else {}
    try:
        return _insert(url, use_case, decision, reasons, evidence, decided_by, status="begun", **known)
    except IntegrityError as error:
        if "uq_decisions_begun" not in str(error):
            raise
        raise Busy(f"Another decision about {use_case} is under way; nothing was done.") from None


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

    Noted twice, since a step is done again, it is noted once.

    Raises:
        DatabaseError: it has ended already, since another process took this one for gone.
    """
    one = decisions.c.id == decision
    noted = {"status": status, "result": dict(result)}
    begun = update(decisions).where(one, decisions.c.status == "begun")
    with connect(url) as connection:
        ended = connection.execute(begun.values(noted | {"ended_at": func.now()})).rowcount
        before = connection.execute(select(decisions.c.status, decisions.c.result).where(one)).first()
    if not ended and (before is None or dict(before._mapping) != noted):
        raise DatabaseError(
            f"Decision {decision} has ended already: another process took this one for gone, as when the "
            "lock on it is lost since PostgreSQL is restarted, and took over."
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
