"""Make the table of releases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of releases."""
    op.create_table(
        "releases",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("use_case", sa.String(), nullable=False),
        sa.Column("model_version", sa.Integer(), nullable=False),
        sa.Column("bento", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("address", sa.String(), nullable=True),
        sa.Column("pid", sa.Integer(), nullable=True),
        sa.Column("pid_started", sa.Float(), nullable=True),
        sa.Column("released_by", sa.String(), nullable=False),
        sa.Column("zenml_run", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('rolling_out', 'serving', 'superseded', 'failed', 'stopped')",
            name="ck_releases_status",
        ),
        sa.CheckConstraint("model_version > 0", name="ck_releases_model_version"),
        sa.CheckConstraint("status <> 'failed' OR reason IS NOT NULL", name="ck_releases_reason"),
        sa.PrimaryKeyConstraint("id", name="pk_releases"),
    )
    op.create_index(
        "uq_releases_serving",
        "releases",
        ["use_case", "target"],
        unique=True,
        postgresql_where=sa.text("status = 'serving'"),
    )
    op.create_index("ix_releases_history", "releases", ["use_case", "target", "id"])


def downgrade() -> None:
    """Undo it."""
    op.drop_table("releases")
