"""Make the view in which analysts read predictions beside what came true, and the release they came from."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# A release answers from a moment before it is noted as serving: so it counts from its beginning, and of the
# releases of one version each up to the next. Periods do not overlap, and no prediction is there twice.
_VIEW = """
CREATE VIEW public.prediction_outcomes AS
WITH released AS (
  SELECT
    id, use_case, model_version, bento, zenml_run, created_at AS since,
    lead(created_at) OVER (PARTITION BY use_case, model_version ORDER BY created_at, id) AS until
  FROM public.releases
  WHERE verified_at IS NOT NULL
)
SELECT
  p.at,
  p.use_case,
  p.request_id,
  p."row",
  p.inputs,
  p.output,
  CASE jsonb_array_length(jsonb_path_query_array(p.output, '$.* ? (@.type() == "number")'))
    WHEN 1 THEN jsonb_path_query_first(p.output, '$.* ? (@.type() == "number")')::double precision
  END AS prediction,
  o.value AS outcome,
  o.at AS outcome_at,
  o.received_at AS outcome_received_at,
  p.model_version,
  r.id AS release,
  r.bento,
  r.zenml_run AS release_run,
  p.trace_id,
  p.seconds
FROM public.predictions p
LEFT JOIN public.outcomes o ON o.use_case = p.use_case AND o.request_id = p.request_id AND o."row" = p."row"
LEFT JOIN released r ON r.use_case = p.use_case AND r.model_version = p.model_version
  AND p.at >= r.since AND (r.until IS NULL OR p.at < r.until)
"""


def upgrade() -> None:
    """Make it."""
    op.execute(_VIEW)


def downgrade() -> None:
    """Undo it; nothing is lost."""
    op.execute("DROP VIEW public.prediction_outcomes")
