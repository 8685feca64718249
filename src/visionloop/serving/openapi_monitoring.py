"""The part of the OpenAPI document about watching the service."""

from __future__ import annotations

from typing import Any

from visionloop.serving import codes
from visionloop.serving import schema_monitoring as schema
from visionloop.serving.openapi_parts import OF_TASK, TEXT, Option, look
from visionloop.serving.schema_drift import DriftAnswer

MONITORING_TYPES = (
    schema.SummaryAnswer,
    schema.ComparisonAnswer,
    DriftAnswer,
    schema.AlertsAnswer,
    schema.ServiceAnswer,
    schema.RequestsAnswer,
)
TAG = "Monitoring"
_RANGE = Option(
    "range", {"type": "string", "enum": ["hour", "day", "week", "month"], "default": "day"}, "How far back."
)


def monitoring_paths() -> dict[str, Any]:
    """Operations by path."""
    return {
        "/v1/monitoring/summary": {
            "get": look(
                "monitoring_summary",
                TAG,
                "feedback",
                "See traffic, latency, answers and accuracy over time",
                "SummaryAnswer",
                codes.OPTION,
                codes.KEPT,
                description=(
                    "Counted from the prediction store, so of all workers and replicas that share it, and given again "
                    "for a few seconds. An hour comes in minutes, a day in hours, a week in 3 hours, a month (30 days) "
                    "in 12, on round times of UTC. The example's buckets are cut to the last."
                ),
                options=[OF_TASK, _RANGE],
            )
        },
        "/v1/monitoring/comparison": {
            "get": look(
                "monitoring_comparison",
                TAG,
                "feedback",
                "Compare two versions by their answers",
                "ComparisonAnswer",
                codes.OPTION,
                codes.KEPT,
                description=(
                    "As `visionloop ab`: accuracy by feedback, latency, agreement. By default the champion and its "
                    "canary or shadow, else the two versions that answered last."
                ),
                options=[
                    OF_TASK,
                    Option("first", TEXT, "The version that was there."),
                    Option("second", TEXT, "The one it is compared with."),
                ],
            )
        },
        "/v1/monitoring/drift": {
            "get": look(
                "monitoring_drift",
                TAG,
                "feedback",
                "See what the drift check found last",
                "DriftAnswer",
                codes.OPTION,
                description=(
                    "`visionloop drift` is a job of its own and leaves its result in the state folder; the service "
                    "reads it and computes nothing. The example's lists are cut to one entry, its picture to nothing."
                ),
                options=[OF_TASK],
            )
        },
        "/v1/monitoring/alerts": {
            "get": look(
                "monitoring_alerts",
                TAG,
                "admin",
                "See what fires, and what did",
                "AlertsAnswer",
                codes.OPTION,
                codes.KEPT,
                description="As `visionloop alerts` saw it last; `watched_at` says when.",
            )
        },
        "/v1/monitoring/service": {
            "get": look(
                "monitoring_service",
                TAG,
                "admin",
                "See requests, refusals and stages since the service started",
                "ServiceAnswer",
                codes.OPTION,
                description=(
                    "A part of `/metrics` in JSON, summed over this service's workers; begins anew with each start."
                ),
            )
        },
        "/v1/monitoring/requests": {
            "get": look(
                "monitoring_requests",
                TAG,
                "admin",
                "See how requests ended over time",
                "RequestsAnswer",
                codes.OPTION,
                codes.KEPT,
                description=(
                    "Each worker adds what it counted every ten seconds to the prediction store; buckets are those of "
                    "the summary. The example's buckets are cut to the last."
                ),
                options=[_RANGE],
            )
        },
    }
