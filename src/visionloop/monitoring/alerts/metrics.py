"""Prometheus metrics of the watcher, in a registry of their own: it is another process than the service."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from visionloop.monitoring.alerts.engine import Report
from visionloop.monitoring.alerts.settings import SEVERITIES

REGISTRY = CollectorRegistry()

FIRING = Gauge("visionloop_alerts_firing", "Alerts that fire, by severity.", ["severity"], registry=REGISTRY)
OUTBOX = Gauge(
    "visionloop_alerts_outbox", "Alert messages by state: pending, sent, given_up.", ["state"], registry=REGISTRY
)
LAST_CHECK = Gauge(
    "visionloop_alerts_last_check_seconds", "Unix time of the last complete look at the rules.", registry=REGISTRY
)
CHECKS_FAILED = Counter(
    "visionloop_alerts_checks_failed", "Looks that ended early: the database was away.", registry=REGISTRY
)


def show(report: Report, messages: dict[str, int]) -> None:
    """Set the gauges after a look."""
    for severity in SEVERITIES:
        FIRING.labels(severity).set(sum(state.severity == severity for state in report.firing))
    for state, count in messages.items():
        OUTBOX.labels(state).set(count)
    LAST_CHECK.set(report.at.timestamp())
