"""Who approved a model version for release; never changed, and in the audit trail as well."""

from __future__ import annotations

from sqlalchemy import insert, select

from db.models import approvals
from db.recorded import Approval
from db.session import connect


def approve(
    url: str, *, use_case: str, model_version: int, model: str, approved_by: str, note: str | None = None
) -> int:
    """Note that `approved_by` approved a version whose files have the digest `model`; returns its id."""
    values = {
        "use_case": use_case,
        "model_version": model_version,
        "model": model,
        "approved_by": approved_by,
        "note": note,
    }
    with connect(url) as connection:
        return int(
            connection.execute(insert(approvals).values(values).returning(approvals.c.id)).scalar_one()
        )


def of(url: str, use_case: str, model_version: int) -> list[Approval]:
    """The approvals of a version, the newest first."""
    c = approvals.c
    query = select(approvals).where(c.use_case == use_case, c.model_version == model_version)
    with connect(url) as connection:
        return [Approval.model_validate(row) for row in connection.execute(query.order_by(c.id.desc()))]
