"""Where signals come from: the prediction store, the service's metrics, the disk, other jobs' reports."""

from visionloop.monitoring.alerts.sources.machine import DiskSource
from visionloop.monitoring.alerts.sources.reports import DriftReport, RetrainingReport
from visionloop.monitoring.alerts.sources.service import ServiceSource, fetch_metrics
from visionloop.monitoring.alerts.sources.traffic import TrafficSource

__all__ = ["DiskSource", "DriftReport", "RetrainingReport", "ServiceSource", "TrafficSource", "fetch_metrics"]
