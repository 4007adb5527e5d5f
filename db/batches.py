"""The table of batches: what was loaded from which source, and whether it counts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, delete, insert, select, text, update

from db.models import batches
from db.session import connect, engine

SCHEMA = "ingested"
QUARANTINE = "_quarantine"
_VALUES = f"""
SELECT r."{{column}}" FROM {SCHEMA}."{{table}}" r JOIN batches b ON b.load_id = r._dlt_load_id
WHERE b.status = 'loaded' AND b.source IS DISTINCT FROM :but AND r."{{column}}" = ANY(:wanted)
"""  # noqa: S608 - names out of the use case
_b = batches.c


class Recorded(BaseModel):
    """A batch as it is on record; `db.models.batches` says what the fields are."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: int
    use_case: str
    source: str
    load_id: str
    status: str
    replaces: bool
    rows: int
    rejected: int
    fingerprint: str
    file: str
    lineage: dict[str, Any]
    zenml_run: str | None
    at: datetime


def next_id(url: str) -> int:
    """A number that no batch has had."""
    with connect(url) as connection:
        return int(connection.execute(text("SELECT nextval('batches_id_seq')")).scalar_one())


def begin(url: str, batch: dict[str, Any]) -> None:
    """Note a batch before its rows are loaded: should the load be killed, it is known what to look for."""
    with connect(url) as connection:
        connection.execute(insert(batches).values(**batch, status="begun"))


def begun(url: str, use_case: str) -> list[Recorded]:
    """Batches whose load may not have come to its end."""
    return _select(url, _b.use_case == use_case, _b.status == "begun")


def loaded(url: str, use_case: str, source: str | None = None) -> list[Recorded]:
    """The batches that count, in the order in which they came."""
    return _select(
        url, _b.use_case == use_case, _b.status == "loaded", *([_b.source == source] if source else [])
    )


def is_complete(url: str, load_id: str) -> bool:
    """Whether dlt has noted that everything of a load is there."""
    with connect(url) as connection:
        if not _exists(connection, "_dlt_loads"):
            return False
        query = text(f"SELECT count(*) FROM {SCHEMA}._dlt_loads WHERE load_id = :id AND status = 0")  # noqa: S608
        return bool(connection.execute(query, {"id": load_id}).scalar_one())


def values(url: str, use_case: str, but: str | None, column: str, wanted: list[Any]) -> set[Any]:
    """Which of the values stand in a column of rows that count; those of the source `but` are left out."""
    with connect(url) as connection:
        if not _exists(connection, use_case):
            return set()
        query = text(_VALUES.format(column=column, table=use_case))
        found = connection.execute(query, {"but": but, "wanted": wanted})
        return set(found.scalars())


def count(url: str, batch: Recorded) -> None:
    """Let a batch count from now on; what its source had before, if it replaces that, no longer does."""
    with engine(url).begin() as connection:
        connection.execute(update(batches).where(_b.id == batch.id).values(status="loaded"))
        if not batch.replaces:
            return
        before = connection.execute(
            update(batches)
            .where(
                _b.use_case == batch.use_case,
                _b.source == batch.source,
                _b.status == "loaded",
                _b.id != batch.id,
            )
            .values(status="replaced")
            .returning(_b.load_id)
        ).scalars()
        for load_id in before.all():
            _delete_rows(connection, batch.use_case, load_id)


def give_up(url: str, batch: Recorded) -> None:
    """Forget a batch whose load did not come to its end, and everything that it left."""
    with engine(url).begin() as connection:
        _delete_rows(connection, batch.use_case, batch.load_id)
        if _exists(connection, "_dlt_pipeline_state"):
            connection.execute(
                text(f"DELETE FROM {SCHEMA}._dlt_pipeline_state WHERE _dlt_load_id = :id"),  # noqa: S608
                {"id": batch.load_id},
            )
        connection.execute(delete(batches).where(_b.id == batch.id))


def _delete_rows(connection: Connection, use_case: str, load_id: str) -> None:
    for table in (use_case, use_case + QUARANTINE):
        if _exists(connection, table):
            connection.execute(
                text(f'DELETE FROM {SCHEMA}."{table}" WHERE _dlt_load_id = :id'),  # noqa: S608
                {"id": load_id},
            )


def _exists(connection: Connection, table: str) -> bool:
    query = text("SELECT to_regclass(:name) IS NOT NULL")
    return bool(connection.execute(query, {"name": f'{SCHEMA}."{table}"'}).scalar_one())


def _select(url: str, *where: Any) -> list[Recorded]:
    with connect(url) as connection:
        found = connection.execute(select(batches).where(*where).order_by(_b.id))
        return [Recorded.model_validate(row) for row in found]
