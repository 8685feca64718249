"""Predictions, feedback on them, and comparisons with a shadow."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the three tables."""
    op.create_table(
        "predictions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("variant", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text),
        sa.Column("image_sha256", sa.Text, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("image_bytes", sa.Integer, nullable=False),
        sa.Column("result", sa.JSON, nullable=False),
        sa.Column("top_class", sa.Text),
        sa.Column("confidence", sa.Double),
        sa.Column("features", sa.JSON),
        sa.Column("embedding", sa.LargeBinary),
        sa.Column("latency_ms", sa.Double, nullable=False),
    )
    op.create_index("ix_predictions_task", "predictions", ["task", "created_at"])
    op.create_index("ix_predictions_digest", "predictions", ["digest", "created_at"])
    op.create_table(
        "feedback",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("prediction_id", sa.Text, sa.ForeignKey("predictions.id", ondelete="CASCADE"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("label", sa.JSON),
        sa.Column("note", sa.Text),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.UniqueConstraint("prediction_id", "key_id", name="uq_feedback_prediction_key"),
    )
    op.create_table(
        "comparisons",
        sa.Column("prediction_id", sa.Text, sa.ForeignKey("predictions.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("agreement", sa.Double, nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
    )
    op.create_index("ix_comparisons_digest", "comparisons", ["digest", "created_at"])


def downgrade() -> None:
    """Drop the three tables."""
    op.drop_table("comparisons")
    op.drop_table("feedback")
    op.drop_table("predictions")
