"""The project's own tables, in database `modelyard`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

STATUSES = ("rolling_out", "canary", "serving", "superseded", "failed", "withdrawn", "stopped")
VERDICTS = ("good", "watch", "retrain", "too few rows")
DECISIONS = ("nothing", "retrain", "release")


class Base(DeclarativeBase):
    """All tables; constraints have names, so that migrations can change them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: DateTime(timezone=True)}  # noqa: RUF012 - SQLAlchemy's own attribute


class Release(Base):
    """One attempt to put a model version behind an endpoint: what, where, by whom, and what came of it."""

    __tablename__ = "releases"
    __table_args__ = (
        CheckConstraint(f"status IN {STATUSES}", name="status"),
        CheckConstraint("model_version > 0", name="model_version"),
        CheckConstraint("status <> 'failed' OR reason IS NOT NULL", name="reason"),
        # One release serves for each use case and target, and one takes a share beside it; PostgreSQL itself
        # sees to it.
        Index(
            "uq_releases_serving",
            "use_case",
            "target",
            unique=True,
            postgresql_where=text("status = 'serving'"),
        ),
        Index(
            "uq_releases_canary",
            "use_case",
            "target",
            unique=True,
            postgresql_where=text("status = 'canary'"),
        ),
        Index("ix_releases_history", "use_case", "target", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    use_case: Mapped[str]
    model_version: Mapped[int]
    bento: Mapped[str]
    """Tag of the Bento, `name:version`."""
    image: Mapped[str | None]
    """The container image that its pods run, by digest: `REGISTRY/NAME:TAG@sha256:…`."""
    target: Mapped[str]
    """Where it runs: `local`, or a cluster's name."""
    status: Mapped[str]
    why: Mapped[str | None]
    """Why it was made, in a few words: `champion`, `version 3 was asked for`."""
    reason: Mapped[str | None]
    """Why it failed or ended; of a canary, what is to be said of it."""
    address: Mapped[str | None]
    """URL of the endpoint."""
    pid: Mapped[int | None]
    pid_started: Mapped[float | None]
    """Start of the process, seconds since 1970: tells it from a later one with the same pid."""
    released_by: Mapped[str]
    """user@host"""
    zenml_run: Mapped[str | None]
    evidence: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """What exactly was released, as `releases.evidence` has it."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    verified_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


# Written by endpoints by COPY and read by SQL, row upon row: there are no objects of them.
_moment = DateTime(timezone=True)

predictions = Table(
    "predictions",
    Base.metadata,
    Column("at", _moment, nullable=False),
    Column("request_id", String, nullable=False),
    Column("row", Integer, nullable=False),  # 0, or its place among the rows of one request
    Column("use_case", String, nullable=False),
    Column("model_version", Integer, nullable=False),
    Column("trace_id", String),
    Column("inputs", JSONB, nullable=False),
    Column("output", JSONB, nullable=False),
    Column("seconds", REAL, nullable=False),
    Index("ix_predictions_request_id", "request_id"),
    Index("ix_predictions_use_case", "use_case", "at"),
    postgresql_partition_by="RANGE (at)",  # a day each, in UTC: predictions_20261126
)
outcomes = Table(
    "outcomes",
    Base.metadata,
    Column("use_case", String, primary_key=True),
    Column("request_id", String, primary_key=True),
    Column("row", Integer, primary_key=True, autoincrement=False),
    Column("value", Double, nullable=False),
    Column("at", _moment, nullable=False),
    Column("received_at", _moment, server_default=func.now(), nullable=False),
    Index("ix_outcomes_at", "use_case", "at"),
)
# How far a group of stream workers is; moved in the transaction that writes what lies before.
stream_places = Table(
    "stream_places",
    Base.metadata,
    Column("consumers", String, primary_key=True),
    Column("topic", String, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False),
    Column("at", _moment, server_default=func.now(), nullable=False),
)
# Events that were taken, so that one which is sent twice is predicted once.
stream_events = Table(
    "stream_events",
    Base.metadata,
    Column("use_case", String, primary_key=True),
    Column("event_id", String, primary_key=True),
    Column("at", _moment, server_default=func.now(), nullable=False),
)
shipped_segments = Table(
    "shipped_segments",
    Base.metadata,
    Column("name", String, primary_key=True),
    Column("at", _moment, server_default=func.now(), nullable=False),
)
# From which day (UTC) on predictions and outcomes were kept, each time that older ones were dropped.
cleanings = Table(
    "cleanings",
    Base.metadata,
    Column("kept_from", Date, primary_key=True),
    Column("at", _moment, server_default=func.now(), nullable=False),
)
drift_checks = Table(
    "drift_checks",
    Base.metadata,
    Column("id", Integer, primary_key=True),
    Column("use_case", String, nullable=False),
    Column("model_version", Integer, nullable=False),
    # The newest `until` of a use case is the watermark: the next check begins there, or earlier.
    Column("since", _moment, nullable=False),
    Column("until", _moment, nullable=False),
    Column("verdict", String, nullable=False),
    Column("found", JSONB, nullable=False),  # monitoring.check.Check
    Column("zenml_run", String),
    Column("at", _moment, server_default=func.now(), nullable=False),
    CheckConstraint("since < until", name="since"),
    CheckConstraint(f"verdict IN {VERDICTS}", name="verdict"),
    # Two checks of one time are one too many: the second is refused.
    Index("uq_drift_checks_until", "use_case", "until", unique=True),
)
decisions = Table(
    "decisions",
    Base.metadata,
    Column("id", Integer, primary_key=True),
    Column("use_case", String, nullable=False),
    Column("decision", String, nullable=False),
    Column("reasons", JSONB, nullable=False),  # sentences
    Column("evidence", JSONB, nullable=False),  # everything that was known and decided upon
    Column("status", String, nullable=False),
    Column("result", JSONB),  # what came of it
    Column("decided_by", String, nullable=False),  # user@host, or a schedule
    Column("at", _moment, server_default=func.now(), nullable=False),
    Column("ended_at", _moment),
    CheckConstraint(f"decision IN {DECISIONS}", name="decision"),
    CheckConstraint("status IN ('begun', 'done', 'failed', 'abandoned')", name="status"),
    CheckConstraint("(status = 'begun') = (ended_at IS NULL)", name="ended_at"),
    Index("ix_decisions_use_case", "use_case", "id"),
    # PostgreSQL itself sees to it that one is under way at a time.
    Index("uq_decisions_begun", "use_case", unique=True, postgresql_where=text("status = 'begun'")),
)
# Who found a version fit to be released.
approvals = Table(
    "approvals",
    Base.metadata,
    Column("id", Integer, primary_key=True),
    Column("use_case", String, nullable=False),
    Column("model_version", Integer, nullable=False),
    Column("model", String, nullable=False),  # digest of the version's files when it was approved
    Column("note", String),
    Column("approved_by", String, nullable=False),  # user@host
    Column("at", _moment, server_default=func.now(), nullable=False),
    CheckConstraint("model_version > 0", name="model_version"),
    Index("ix_approvals_use_case", "use_case", "model_version"),
)
# Written by triggers on releases and approvals alone; db.audit reads it. A column that is added to one of
# those has to be empty in the rows there are, or they no longer equal what the trail has of them. Who
# migrates need not own it (db.audit.protect): a later revision can drop it and make it anew, not alter it.
audit = Table(
    "audit",
    Base.metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),  # without gaps
    Column("at", _moment, nullable=False),
    Column("use_case", String, nullable=False),
    Column("release_id", Integer),  # none of an approval
    Column("event", String, nullable=False),  # its new status, or which columns changed
    Column("content", JSONB, nullable=False),  # the whole row
    Column("previous", String, nullable=False),  # hash of the row before
    Column("hash", String, nullable=False),
    # A chain has no branches.
    Index("uq_audit_previous", "previous", unique=True),
)
# What ingestion has loaded: one row for each load, written before its rows become visible.
batches = Table(
    "batches",
    Base.metadata,
    Column("id", Integer, primary_key=True),
    Column("use_case", String, nullable=False),
    Column("source", String, nullable=False),
    Column("load_id", String, nullable=False),  # dlt's; `_dlt_load_id` of its rows in the schema `ingested`
    Column("status", String, nullable=False),
    Column("replaces", Boolean, nullable=False),  # what the source had loaded before
    Column("rows", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("fingerprint", String, nullable=False),  # over the rows, whatever their order
    Column("file", String, nullable=False),  # name of the parquet file with the rows
    Column("lineage", JSONB, nullable=False),  # ingestion.batches.Lineage
    Column("zenml_run", String),
    Column("at", _moment, server_default=func.now(), nullable=False),
    CheckConstraint("status IN ('begun', 'loaded', 'replaced')", name="status"),
    Index("ix_batches_use_case", "use_case", "id"),
    Index("uq_batches_load_id", "load_id", unique=True),
)
alerts = Table(
    "alerts",
    Base.metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String, nullable=False),
    Column("use_case", String, nullable=False),
    Column("title", String, nullable=False),
    Column("sentence", String, nullable=False),
    # Targets: one that was taken by any is not told again for a while.
    Column("taken", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("at", _moment, server_default=func.now(), nullable=False),
    Index("ix_alerts_same", "kind", "use_case", "title", "at"),
)
# What happened, for other systems: noted in the transaction that it happens in, delivered afterwards.
events = Table(
    "events",
    Base.metadata,
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("id", String, nullable=False),  # the same however often it is noted
    Column("type", String, nullable=False),
    Column("source", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("data", JSONB, nullable=False),
    Column("at", _moment, server_default=func.now(), nullable=False),
    Index("uq_events_id", "id", unique=True),
    Index("ix_events_at", "at"),
)
# How far an event is with a target. One without a row was not tried.
event_deliveries = Table(
    "event_deliveries",
    Base.metadata,
    Column(
        "event",
        BigInteger,
        ForeignKey("events.number", name="fk_event_deliveries_event", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("target", String, primary_key=True),  # digest of its address, which may be secret
    Column("attempts", Integer, nullable=False),
    Column("problem", String),  # of the last attempt; none once it is delivered
    Column("due", _moment),  # when it is tried next; none once it is delivered or refused
    Column("at", _moment, server_default=func.now(), nullable=False),  # of the last attempt
)
