"""Make the tables of what checks of served models found, and of what was decided upon it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both."""
    op.create_table(
        "drift_checks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("use_case", sa.String(), nullable=False),
        sa.Column("model_version", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("found", JSONB(), nullable=False),
        sa.Column("zenml_run", sa.String(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_drift_checks"),
        sa.CheckConstraint("since < until", name=op.f("ck_drift_checks_since")),
        sa.CheckConstraint(
            "verdict IN ('good', 'watch', 'retrain', 'too few rows')", name=op.f("ck_drift_checks_verdict")
        ),
    )
    op.create_index("uq_drift_checks_until", "drift_checks", ["use_case", "until"], unique=True)
    op.create_table(
        "decisions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("use_case", sa.String(), nullable=False),
        sa.Column("decision", sa.String(), nullable=False),
        sa.Column("reasons", JSONB(), nullable=False),
        sa.Column("evidence", JSONB(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("result", JSONB(), nullable=True),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_decisions"),
        sa.CheckConstraint(
            "decision IN ('nothing', 'retrain', 'release')", name=op.f("ck_decisions_decision")
        ),
        sa.CheckConstraint(
            "status IN ('begun', 'done', 'failed', 'abandoned')", name=op.f("ck_decisions_status")
        ),
        sa.CheckConstraint("(status = 'begun') = (ended_at IS NULL)", name=op.f("ck_decisions_ended_at")),
    )
    op.create_index("ix_decisions_use_case", "decisions", ["use_case", "id"])
    op.create_index(
        "uq_decisions_begun",
        "decisions",
        ["use_case"],
        unique=True,
        postgresql_where=sa.text("status = 'begun'"),
    )


def downgrade() -> None:
    """Undo it; what was found and decided is lost."""
    op.drop_table("decisions")
    op.drop_table("drift_checks")
