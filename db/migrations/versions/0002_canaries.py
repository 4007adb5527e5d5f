"""Note with a release its image and why it was made; let one take a share beside the one that serves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BEFORE = "status IN ('rolling_out', 'serving', 'superseded', 'failed', 'stopped')"
_NOW = "status IN ('rolling_out', 'canary', 'serving', 'superseded', 'failed', 'withdrawn', 'stopped')"
_CHECKS = ("status", "model_version", "reason")
# The first revision gave its checks their whole names, and the naming convention put its prefix before those.
_NAME, _DOUBLED = "ck_releases_", "ck_releases_ck_releases_"


def upgrade() -> None:
    """Two columns more, two statuses more, and checks by the names that the models have for them."""
    op.add_column("releases", sa.Column("image", sa.String(), nullable=True))
    op.add_column("releases", sa.Column("why", sa.String(), nullable=True))
    _rename(_DOUBLED, _NAME)
    _check_statuses(_NOW)
    op.create_index(
        "uq_releases_canary",
        "releases",
        ["use_case", "target"],
        unique=True,
        postgresql_where=sa.text("status = 'canary'"),
    )


def downgrade() -> None:
    """Undo it; of a canary stays that it was stopped."""
    op.drop_index("uq_releases_canary", "releases")
    op.execute("UPDATE releases SET status = 'stopped' WHERE status IN ('canary', 'withdrawn')")
    _check_statuses(_BEFORE)
    _rename(_NAME, _DOUBLED)
    op.drop_column("releases", "why")
    op.drop_column("releases", "image")


def _check_statuses(condition: str) -> None:
    op.drop_constraint(op.f(f"{_NAME}status"), "releases", type_="check")
    op.create_check_constraint(op.f(f"{_NAME}status"), "releases", condition)


def _rename(before: str, after: str) -> None:
    for check in _CHECKS:
        op.execute(f"ALTER TABLE releases RENAME CONSTRAINT {before}{check} TO {after}{check}")
