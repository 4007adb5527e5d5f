"""Make the tables of streams: how far each is in a topic's partition, and which events it has taken.

A prediction of a stream, the note of its event and the stream's place are written in one transaction.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make two tables, and an index by which outcomes of a time are found."""
    op.create_table(
        "stream_places",
        sa.Column("consumers", sa.String(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("consumers", "topic", "partition", name="pk_stream_places"),
    )
    op.create_table(
        "stream_events",
        sa.Column("use_case", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("use_case", "event_id", name="pk_stream_events"),
    )
    op.create_index("ix_outcomes_at", "outcomes", ["use_case", "at"])


def downgrade() -> None:
    """Undo it; streams begin anew."""
    op.drop_index("ix_outcomes_at", "outcomes")
    for table in ("stream_events", "stream_places"):
        op.drop_table(table)
