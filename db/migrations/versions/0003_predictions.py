"""Make the tables of predictions and of what came true of them.

Endpoints log in with a role that can do nothing else (`db.predictions.make_role`). It needs INSERT on
predictions, shipped_segments and outcomes; SELECT and UPDATE on outcomes, since a newer outcome takes the
place of an older one; SELECT and DELETE on shipped_segments; EXECUTE on prediction_partition; and TEMPORARY
on the database. Inserting into `predictions` reaches its partitions without a right to them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# With its owner's rights. A partition that is made apart and attached then keeps nobody from reading or
# writing the others meanwhile, as one made in its place would.
_PARTITION = """
CREATE FUNCTION public.prediction_partition(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  partition text := 'predictions_' || to_char(day, 'YYYYMMDD');
BEGIN
  IF to_regclass('public.' || partition) IS NOT NULL THEN
    RETURN;
  END IF;
  PERFORM pg_advisory_xact_lock(hashtext('prediction_partition'));
  -- Who waited for the lock would still be told by to_regclass that there is none.
  PERFORM FROM pg_class WHERE relname = partition AND relnamespace = 'public'::regnamespace;
  IF FOUND THEN
    RETURN;
  END IF;
  EXECUTE format('CREATE TABLE public.%I (LIKE public.predictions INCLUDING ALL)', partition);
  EXECUTE format(
    'ALTER TABLE public.predictions ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
    partition, to_char(day, 'YYYY-MM-DD') || ' 00:00:00+00', to_char(day + 1, 'YYYY-MM-DD') || ' 00:00:00+00'
  );
END
$$
"""


def upgrade() -> None:
    """Make three tables, and the function that makes a day's partition."""
    op.create_table(
        "predictions",
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("use_case", sa.String(), nullable=False),
        sa.Column("model_version", sa.Integer(), nullable=False),
        sa.Column("trace_id", sa.String(), nullable=True),
        sa.Column("inputs", JSONB(), nullable=False),
        sa.Column("output", JSONB(), nullable=False),
        sa.Column("seconds", sa.REAL(), nullable=False),
        postgresql_partition_by="RANGE (at)",
    )
    op.create_index("ix_predictions_request_id", "predictions", ["request_id"])
    op.create_index("ix_predictions_use_case", "predictions", ["use_case", "at"])
    op.create_table(
        "outcomes",
        sa.Column("use_case", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("use_case", "request_id", "row", name="pk_outcomes"),
    )
    op.create_table(
        "shipped_segments",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_shipped_segments"),
    )
    op.execute(_PARTITION)
    op.execute("REVOKE ALL ON FUNCTION public.prediction_partition(date) FROM PUBLIC")


def downgrade() -> None:
    """Undo it; what was logged is lost."""
    op.execute("DROP FUNCTION public.prediction_partition(date)")
    for table in ("shipped_segments", "outcomes", "predictions"):
        op.drop_table(table)
