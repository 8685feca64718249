"""When the alerts were looked at last, and how often that is meant to happen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "alert_watch",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("interval_s", sa.Double, nullable=False),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("alert_watch")
