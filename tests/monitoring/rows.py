"""Rows of the prediction store, as unremarkable as can be."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from visionloop.monitoring.store import ComparisonRow, FeedbackRow, PredictionRow

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def prediction(id: str = "a" * 32, **changes: Any) -> PredictionRow:
    values: dict[str, Any] = {
        "id": id,
        "created_at": NOW,
        "task": "classification",
        "model": "digits-classification",
        "version": "3",
        "digest": "d1",
        "variant": "champion",
        "request_id": "r1",
        "image_sha256": "f" * 64,
        "width": 28,
        "height": 20,
        "image_bytes": 512,
        "result": {"classes": [{"name": "7", "probability": 0.75}]},
        "top_class": "7",
        "confidence": 0.75,
        "latency_ms": 3.5,
    }
    return PredictionRow(**(values | changes))


def feedback(prediction_id: str = "a" * 32, **changes: Any) -> FeedbackRow:
    values: dict[str, Any] = {"prediction_id": prediction_id, "created_at": NOW, "verdict": "right"}
    return FeedbackRow(**(values | changes))


def comparison(prediction_id: str = "a" * 32, **changes: Any) -> ComparisonRow:
    values = {"prediction_id": prediction_id, "digest": "s1", "created_at": NOW, "agreement": 0.5, "details": {"n": 1}}
    return ComparisonRow(**(values | changes))
