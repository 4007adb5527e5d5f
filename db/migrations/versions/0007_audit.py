"""Keep an audit trail: what was released and who approved it, each row chained to the one before by its hash.

Rows come from triggers on `releases` and `approvals` alone. The function behind them has its owner's rights,
so that the role which releases needs none to write; `db.audit.protect` gives both to a role of their own.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# One chain for all use cases: of one each, a whole one could vanish. Whoever waited for the lock reads what
# was committed meanwhile; in a transaction that cannot, the number is taken, which ends it.
_APPEND = """
CREATE FUNCTION public.audit_append(use_case text, release_id integer, event text, content jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('audit'));
  WITH newest AS (SELECT id, hash FROM public.audit ORDER BY id DESC LIMIT 1),
  entry AS MATERIALIZED (
    SELECT coalesce(newest.hash, '') AS previous, coalesce(newest.id, 0) + 1 AS id, clock_timestamp() AS at,
      $1 AS use_case, $2 AS release_id, $3 AS event, $4 AS content
    FROM (VALUES (1)) AS one LEFT JOIN newest ON true
  )
  INSERT INTO public.audit (previous, id, at, use_case, release_id, event, content, hash)
  SELECT e.*, encode(sha256(convert_to(jsonb_build_array(
    e.previous, e.id, (extract(epoch FROM e.at) * 1000000)::bigint,
    e.use_case, e.release_id, e.event, e.content
  )::text, 'UTF8')), 'hex')
  FROM entry e;
END
$$
"""
# Moments and numbers in JSON are written as the session has it, but for what is set here.
_NOTE = """
CREATE FUNCTION public.audit_note() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET extra_float_digits = 1 AS $$
DECLARE
  before jsonb := to_jsonb(OLD);
  now jsonb := to_jsonb(NEW);
  event text;
BEGIN
  IF before IS NOT DISTINCT FROM now THEN
    RETURN NULL;
  END IF;
  event := CASE
    WHEN TG_OP = 'DELETE' THEN 'deleted'
    WHEN TG_TABLE_NAME = 'approvals' THEN 'approved'
    WHEN before->>'status' IS DISTINCT FROM now->>'status' THEN now->>'status'
    ELSE (SELECT string_agg(key, ', ' ORDER BY key) FROM jsonb_each(now)
          WHERE value IS DISTINCT FROM before->key)
  END;
  now := coalesce(now, before);
  PERFORM public.audit_append(
    now->>'use_case', CASE TG_TABLE_NAME WHEN 'releases' THEN (now->>'id')::integer END, event, now
  );
  RETURN NULL;
END
$$
"""
_REFUSE = """
CREATE FUNCTION public.audit_refuse() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF TG_OP = 'INSERT' AND pg_trigger_depth() > 1 THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION '% of % is refused: what is on record there stays as it is', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'insufficient_privilege';
END
$$
"""
_EXISTING = """
DO $$
DECLARE
  release record;
BEGIN
  SET LOCAL timezone = 'UTC';
  SET LOCAL extra_float_digits = 1;
  FOR release IN SELECT id, use_case, to_jsonb(r) AS content FROM public.releases r ORDER BY id LOOP
    PERFORM public.audit_append(release.use_case, release.id, 'found', release.content);
  END LOOP;
END
$$
"""
_TRIGGERS = (
    "audit_note AFTER INSERT OR UPDATE OR DELETE ON public.releases FOR EACH ROW {note}",
    "audit_refuse_truncate BEFORE TRUNCATE ON public.releases {refuse}",
    "audit_note AFTER INSERT ON public.approvals FOR EACH ROW {note}",
    "audit_refuse BEFORE UPDATE OR DELETE ON public.approvals FOR EACH ROW {refuse}",
    "audit_refuse_truncate BEFORE TRUNCATE ON public.approvals {refuse}",
    "audit_refuse BEFORE INSERT OR UPDATE OR DELETE ON public.audit FOR EACH ROW {refuse}",
    "audit_refuse_truncate BEFORE TRUNCATE ON public.audit {refuse}",
)


def upgrade() -> None:
    """Make both tables and their triggers; each release there is gets its first row."""
    op.add_column("releases", sa.Column("evidence", JSONB(), nullable=True))
    op.create_table(
        "approvals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("use_case", sa.String(), nullable=False),
        sa.Column("model_version", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("approved_by", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_approvals"),
        sa.CheckConstraint("model_version > 0", name=op.f("ck_approvals_model_version")),
    )
    op.create_index("ix_approvals_use_case", "approvals", ["use_case", "model_version"])
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("use_case", sa.String(), nullable=False),
        sa.Column("release_id", sa.Integer(), nullable=True),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("content", JSONB(), nullable=False),
        sa.Column("previous", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("uq_audit_previous", "audit", ["previous"], unique=True)
    for statement in (_APPEND, _NOTE, _REFUSE, _EXISTING):
        op.execute(statement)
    calls = {name: f"EXECUTE FUNCTION public.audit_{name}()" for name in ("note", "refuse")}
    for trigger in _TRIGGERS:
        op.execute(f"CREATE TRIGGER {trigger.format(**calls)}")


def downgrade() -> None:
    """Undo it; the trail is lost."""
    op.drop_table("audit")
    op.drop_table("approvals")
    for trigger in ("audit_note", "audit_refuse_truncate"):
        op.execute(f"DROP TRIGGER {trigger} ON public.releases")
    for function in ("audit_note()", "audit_refuse()", "audit_append(text, integer, text, jsonb)"):
        op.execute(f"DROP FUNCTION public.{function}")
    op.drop_column("releases", "evidence")
