"""How predictions and outcomes get into PostgreSQL, whoever brings them."""

from __future__ import annotations

import psycopg2

PARTITION = "SELECT public.prediction_partition(to_date(%s, 'YYYYMMDD'))"
COPY_PREDICTIONS = (
    "COPY public.predictions "
    "(use_case, at, request_id, row, model_version, trace_id, seconds, inputs, output) FROM STDIN"
)
TEMPORARY = "CREATE TEMPORARY TABLE new_outcomes (LIKE public.outcomes INCLUDING DEFAULTS) ON COMMIT DROP"
COPY_OUTCOMES = "COPY new_outcomes (use_case, request_id, row, value, at) FROM STDIN"
# In the order of the key, so that two workers with the same rows don't wait for each other.
UPSERT = """
INSERT INTO public.outcomes AS known (use_case, request_id, row, value, at)
SELECT DISTINCT ON (use_case, request_id, row) use_case, request_id, row, value, at FROM new_outcomes
ORDER BY use_case, request_id, row, at DESC, ctid DESC
ON CONFLICT (use_case, request_id, row) DO UPDATE
SET value = excluded.value, at = excluded.at, received_at = now() WHERE known.at <= excluded.at
"""
# SQLSTATE classes of errors that the rows are the reason of: data, constraints, limits.
_OF_CONTENT = ("22", "23", "54")


def is_of_content(error: psycopg2.Error) -> bool:
    """Whether the rows are the reason for which the database refused."""
    return (error.pgcode or "")[:2] in _OF_CONTENT
