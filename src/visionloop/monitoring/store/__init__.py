"""The prediction store: what was asked and answered, what people said about it, how a shadow differed.

Predictions are logged through a bounded queue in memory and one writer thread, so that a slow or
missing database never slows an answer. Feedback is committed before the call returns.
"""

from visionloop.monitoring.store.errors import StoreError
from visionloop.monitoring.store.listing import FeedbackState, PredictionFilter
from visionloop.monitoring.store.rows import ComparisonRow, FeedbackRow, PredictionRow, Variant, Verdict
from visionloop.monitoring.store.selections import Candidate, SelectionRow, Selections
from visionloop.monitoring.store.store import PredictionStore
from visionloop.monitoring.store.tables import METADATA

__all__ = [
    "METADATA",
    "Candidate",
    "ComparisonRow",
    "FeedbackRow",
    "FeedbackState",
    "PredictionFilter",
    "PredictionRow",
    "PredictionStore",
    "SelectionRow",
    "Selections",
    "StoreError",
    "Variant",
    "Verdict",
]
