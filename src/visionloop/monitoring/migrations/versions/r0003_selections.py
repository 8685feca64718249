"""Predictions that were chosen to be labelled, why, and with which chance."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "selections",
        sa.Column("prediction_id", sa.Text, sa.ForeignKey("predictions.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("chosen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("day", sa.Text, nullable=False),
        sa.Column("slot", sa.Integer),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("usefulness", sa.Double, nullable=False),
        sa.Column("draw", sa.Text),
        sa.Column("draw_images", sa.Integer),
        sa.Column("draw_size", sa.Integer),
        sa.Column("draw_until", sa.DateTime(timezone=True)),
        sa.UniqueConstraint("task", "day", "slot", name="uq_selections_slot"),
    )
    op.create_index("ix_selections_task", "selections", ["task", "chosen_at"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("selections")
