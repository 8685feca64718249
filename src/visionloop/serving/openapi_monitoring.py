"""The part of the OpenAPI document about watching the service."""

from __future__ import annotations

from typing import Any

from visionloop.serving import codes
from visionloop.serving import openapi_parts as parts
from visionloop.serving import schema_monitoring as schema
from visionloop.serving.openapi_parts import Option

MONITORING_TYPES = (
    schema.SummaryAnswer,
    schema.ComparisonAnswer,
    schema.DriftAnswer,
    schema.AlertsAnswer,
    schema.ServiceAnswer,
    schema.RequestsAnswer,
)
TAG = "Monitoring"
_TEXT = {"type": "string"}
_TASK = {"name": "task", "in": "query", "required": True, "schema": _TEXT, "description": "Of this task."}

_RANGE = Option(
    "range", {"type": "string", "enum": ["hour", "day", "week", "month"], "default": "day"}, "How far back."
)


def monitoring_paths() -> dict[str, Any]:
    """Operations by path."""
    return {
        "/v1/monitoring/summary": {"get": _summary()},
        "/v1/monitoring/comparison": {"get": _comparison()},
        "/v1/monitoring/drift": {"get": _drift()},
        "/v1/monitoring/alerts": {"get": _alerts()},
        "/v1/monitoring/service": {"get": _service()},
        "/v1/monitoring/requests": {"get": _requests()},
    }


def _summary() -> dict[str, Any]:
    operation = parts.operation(
        "monitoring_summary",
        TAG,
        "feedback",
        "See traffic, latency, answers and accuracy over time",
        parts.answer("SummaryAnswer", "monitoring_summary"),
        codes.OPTION,
        codes.KEPT,
    )
    operation["description"] = (
        "Counted from the prediction store, so of all workers and replicas that share it, and given again for a few "
        "seconds. An hour comes in minutes, a day in hours, a week in 3 hours, a month (30 days) in 12, on round times "
        "of UTC. The example's buckets are cut to the last."
    )
    return {**operation, "parameters": [_TASK, *parts.parameters([_RANGE])]}


def _comparison() -> dict[str, Any]:
    operation = parts.operation(
        "monitoring_comparison",
        TAG,
        "feedback",
        "Compare two versions by their answers",
        parts.answer("ComparisonAnswer", "monitoring_comparison"),
        codes.OPTION,
        codes.KEPT,
    )
    operation["description"] = (
        "As `visionloop ab`: accuracy by feedback, latency, agreement. By default the champion and its canary or "
        "shadow, else the two versions that answered last."
    )
    options = [
        Option("first", _TEXT, "The version that was there."),
        Option("second", _TEXT, "The one it is compared with."),
    ]
    return {**operation, "parameters": [_TASK, *parts.parameters(options)]}


def _drift() -> dict[str, Any]:
    operation = parts.operation(
        "monitoring_drift",
        TAG,
        "feedback",
        "See what the drift check found last",
        parts.answer("DriftAnswer", "monitoring_drift"),
        codes.OPTION,
    )
    operation["description"] = (
        "`visionloop drift` is a job of its own and leaves its result in the state folder; the service reads it and "
        "computes nothing. The example's lists are cut to one entry, its picture to nothing."
    )
    return {**operation, "parameters": [_TASK]}


def _alerts() -> dict[str, Any]:
    operation = parts.operation(
        "monitoring_alerts",
        TAG,
        "admin",
        "See what fires, and what did",
        parts.answer("AlertsAnswer", "monitoring_alerts"),
        codes.OPTION,
        codes.KEPT,
    )
    return operation | {"description": "As `visionloop alerts` saw it last; `watched_at` says when."}


def _service() -> dict[str, Any]:
    operation = parts.operation(
        "monitoring_service",
        TAG,
        "admin",
        "See requests, refusals and stages since the service started",
        parts.answer("ServiceAnswer", "monitoring_service"),
        codes.OPTION,
    )
    return operation | {
        "description": "A part of `/metrics` in JSON, summed over this service's workers; begins anew with each start."
    }


def _requests() -> dict[str, Any]:
    operation = parts.operation(
        "monitoring_requests",
        TAG,
        "admin",
        "See how requests ended over time",
        parts.answer("RequestsAnswer", "monitoring_requests"),
        codes.OPTION,
        codes.KEPT,
    )
    operation["description"] = (
        "Each worker adds what it counted every ten seconds to the prediction store; buckets are those of the summary. "
        "The example's buckets are cut to the last."
    )
    return {**operation, "parameters": parts.parameters([_RANGE])}
