"""Looking through stored predictions, by page and filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from visionloop.monitoring.store.tables import FEEDBACK, PREDICTIONS

FeedbackState = Literal["none", "any", "right", "wrong", "corrected"]

Place = tuple[datetime, str]
"""Time and id of a prediction; a page goes on after one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionFilter:
    """Which predictions are wanted; None wants all.

    Attributes:
        task: Name of the task.
        top_class: The most confident class.
        min_confidence: Of that class, included; with either bound, predictions that found nothing are left out.
        max_confidence: As above.
        feedback: What was said of it: `none`, `any`, or a verdict that somebody gave.
        since: Earliest, included.
        until: Latest, excluded.
    """

    task: str | None = None
    top_class: str | None = None
    min_confidence: float | None = None
    max_confidence: float | None = None
    feedback: FeedbackState | None = None
    since: datetime | None = None
    until: datetime | None = None


def page_query(wanted: PredictionFilter, after: Place | None, limit: int) -> sa.Select[Any]:
    """Answers that somebody got (not a shadow's), newest first."""
    table = PREDICTIONS.c
    query = sa.select(PREDICTIONS).where(table.variant != "shadow")
    for column, value in ((table.task, wanted.task), (table.top_class, wanted.top_class)):
        if value is not None:
            query = query.where(column == value)
    if wanted.min_confidence is not None:
        query = query.where(table.confidence >= wanted.min_confidence)
    if wanted.max_confidence is not None:
        query = query.where(table.confidence <= wanted.max_confidence)
    if wanted.since is not None:
        query = query.where(table.created_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(table.created_at < wanted.until)
    if wanted.feedback is not None:
        query = query.where(_said(wanted.feedback))
    if after is not None:
        moment, id_ = after
        query = query.where(sa.or_(table.created_at < moment, sa.and_(table.created_at == moment, table.id > id_)))
    return query.order_by(table.created_at.desc(), table.id).limit(limit)


def feedback_query(ids: Sequence[str]) -> sa.Select[Any]:
    """What was said of these, oldest first."""
    return sa.select(FEEDBACK).where(FEEDBACK.c.prediction_id.in_(ids)).order_by(FEEDBACK.c.created_at, FEEDBACK.c.id)


def _said(state: FeedbackState) -> sa.ColumnElement[bool]:
    any_ = sa.exists().where(FEEDBACK.c.prediction_id == PREDICTIONS.c.id)
    if state == "none":
        return ~any_
    return any_ if state == "any" else any_.where(FEEDBACK.c.verdict == state)
