"""Note from which day on rows were kept: what an export has of older days is not to be made less."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "cleanings",
        sa.Column("kept_from", sa.Date(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("kept_from", name="pk_cleanings"),
    )


def downgrade() -> None:
    """Undo it; exports no longer know which days were cleaned away."""
    op.drop_table("cleanings")
