"""The tables as SQLAlchemy sees them; the migrations create them."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from visionloop.monitoring.store.rows import utc


class _UtcDateTime(sa.TypeDecorator[datetime]):
    """UTC in and out. SQLite keeps text without a zone, which compares right only because it is always UTC."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else utc(value)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


METADATA = sa.MetaData()
_JSON = sa.JSON(none_as_null=True)

PREDICTIONS = sa.Table(
    "predictions",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("created_at", _UtcDateTime, nullable=False),
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
    sa.Column("result", _JSON, nullable=False),
    sa.Column("top_class", sa.Text),
    sa.Column("confidence", sa.Double),
    sa.Column("features", _JSON),
    sa.Column("embedding", sa.LargeBinary),
    sa.Column("latency_ms", sa.Double, nullable=False),
    # Each holds what is counted by, so that counting a million rows never reads the rows: they are hundreds of times
    # as large.
    sa.Index(
        "ix_predictions_task", "task", "created_at", "variant", "version", "top_class", "confidence", "latency_ms"
    ),
    sa.Index("ix_predictions_digest", "digest", "created_at", "task", "variant", "latency_ms"),
)

FEEDBACK = sa.Table(
    "feedback",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("prediction_id", sa.Text, sa.ForeignKey("predictions.id", ondelete="CASCADE"), nullable=False),
    sa.Column("created_at", _UtcDateTime, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("label", _JSON),
    sa.Column("note", sa.Text),
    # Empty for nobody: NULLs would all be distinct in the constraint below.
    sa.Column("key_id", sa.Text, nullable=False),
    sa.UniqueConstraint("prediction_id", "key_id", name="uq_feedback_prediction_key"),
)

COMPARISONS = sa.Table(
    "comparisons",
    METADATA,
    sa.Column("prediction_id", sa.Text, sa.ForeignKey("predictions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("created_at", _UtcDateTime, nullable=False),
    sa.Column("agreement", sa.Double, nullable=False),
    sa.Column("details", _JSON, nullable=False),
    sa.Index("ix_comparisons_digest", "digest", "created_at"),
)

TRAFFIC_HOURS = sa.Table(
    "traffic_hours",
    METADATA,
    sa.Column("task", sa.Text, primary_key=True),
    sa.Column("start", _UtcDateTime, primary_key=True),
    sa.Column("total", sa.Integer, nullable=False),
    sa.Column("counts", _JSON, nullable=False),
)
"""What was counted of an hour that is over; it can be counted again from the predictions at any time."""

REQUEST_MINUTES = sa.Table(
    "request_minutes",
    METADATA,
    sa.Column("start", _UtcDateTime, primary_key=True),
    sa.Column("status", sa.Integer, primary_key=True, autoincrement=False),
    # Of the problem document; empty where there is none: NULL cannot be part of a key.
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("num", sa.Integer, nullable=False),
)
"""How many requests ended how, in a minute; of all workers together."""

SELECTIONS = sa.Table(
    "selections",
    METADATA,
    sa.Column("prediction_id", sa.Text, sa.ForeignKey("predictions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("task", sa.Text, nullable=False),
    sa.Column("chosen_at", _UtcDateTime, nullable=False),
    sa.Column("day", sa.Text, nullable=False),
    # Two workers that choose at once cannot both fill a slot, so a day's budget holds without a lock.
    sa.Column("slot", sa.Integer),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("usefulness", sa.Double, nullable=False),
    # Of those drawn by chance: among which images, and how many of them were drawn.
    sa.Column("draw", sa.Text),
    sa.Column("draw_images", sa.Integer),
    sa.Column("draw_size", sa.Integer),
    sa.Column("draw_until", _UtcDateTime),
    sa.UniqueConstraint("task", "day", "slot", name="uq_selections_slot"),
    sa.Index("ix_selections_task", "task", "chosen_at"),
)

ALERTS = sa.Table(
    "alerts",
    METADATA,
    sa.Column("rule", sa.Text, primary_key=True),
    sa.Column("label", sa.Text, primary_key=True),
    sa.Column("phase", sa.Text, nullable=False),
    sa.Column("since", _UtcDateTime, nullable=False),
    sa.Column("incident", sa.Text, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("value", sa.Double),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("evidence", sa.Text, nullable=False),
    sa.Column("seen_at", _UtcDateTime, nullable=False),
    sa.Column("clear_since", _UtcDateTime),
    sa.Column("sent_at", _UtcDateTime),
    sa.Column("messages", sa.Integer, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
)

ALERT_SILENCES = sa.Table(
    "alert_silences",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("created_at", _UtcDateTime, nullable=False),
    sa.Column("until", _UtcDateTime, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
)

ALERT_MESSAGES = sa.Table(
    "alert_messages",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("message_id", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("incident", sa.Text, nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("created_at", _UtcDateTime, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_try_at", _UtcDateTime, nullable=False),
    sa.Column("ended_at", _UtcDateTime),
    sa.Column("error", sa.Text, nullable=False),
    sa.UniqueConstraint("message_id", "channel", name="uq_alert_messages_message_channel"),
    sa.Index("ix_alert_messages_state", "state", "id"),
)

ALERT_SAMPLES = sa.Table(
    "alert_samples",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", _UtcDateTime, nullable=False),
    sa.Column("counters", _JSON, nullable=False),
)

ALERT_WATCH = sa.Table(
    "alert_watch",
    METADATA,
    # There is one row: whoever looked last has written it.
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("looked_at", _UtcDateTime, nullable=False),
    sa.Column("interval_s", sa.Double, nullable=False),
)
