"""Note what is loaded from sources: batches of rows, each once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of batches."""
    op.create_table(
        "batches",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("use_case", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("load_id", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("replaces", sa.Boolean(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("rejected", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("file", sa.String(), nullable=False),
        sa.Column("lineage", JSONB(), nullable=False),
        sa.Column("zenml_run", sa.String(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_batches"),
        sa.CheckConstraint("status IN ('begun', 'loaded', 'replaced')", name=op.f("ck_batches_status")),
    )
    op.create_index("ix_batches_use_case", "batches", ["use_case", "id"])
    op.create_index("uq_batches_load_id", "batches", ["load_id"], unique=True)


def downgrade() -> None:
    """Undo it; rows in the schema `ingested` stay."""
    op.drop_table("batches")
