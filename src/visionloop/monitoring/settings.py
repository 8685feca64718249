"""Where predictions are kept, and for how long; when somebody is told."""

from __future__ import annotations

from pydantic import Field

from visionloop.core.settings import Settings
from visionloop.monitoring.alerts.settings import AlertSettings


class StoreSettings(Settings):
    """The prediction store."""

    url: str = "sqlite:///mlruns/predictions.db"
    """`sqlite:///<path>` (relative to the project) or `postgresql://...`."""
    enabled: bool = True
    """Whether the service keeps what it predicts."""
    flush_s: float = Field(default=0.5, gt=0, le=10)
    """Seconds a prediction may wait in memory for others to be written with."""
    batch: int = Field(default=200, ge=1, le=10_000)
    """Most rows in one write."""
    max_pending: int = Field(default=5000, ge=1)
    """Most rows in the memory of one worker; above it new ones are dropped and counted."""
    timeout_s: float = Field(default=5.0, gt=0, le=60)
    """Seconds to wait for a locked or silent database."""
    retention_days: int = Field(default=90, ge=1)
    """Days after which a prediction is deleted, with its feedback."""


class MonitoringSettings(Settings):
    """What watches the service."""

    alerts: AlertSettings = AlertSettings()
    """Alerts."""
