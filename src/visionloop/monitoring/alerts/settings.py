"""When somebody is told, how, and how insistently."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator

from visionloop.core.settings import Settings

Severity = Literal["info", "warning", "critical"]
"""How bad, in rising order."""

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")


class RuleSettings(Settings):
    """What is watched, and from which value on it is an alert."""

    enabled: bool = True
    """Whether it is looked at."""
    signal: str
    """What is watched; docs/alerts.md lists the signals."""
    when: Literal["above", "below"] = "above"
    """On which side of `threshold` it is an alert; the threshold itself is none."""
    threshold: float
    """In the signal's own unit."""
    critical: float | None = None
    """Beyond it the alert is critical, whatever `severity` says; null has no such value."""
    severity: Severity = "warning"
    """How bad."""
    window_s: float = Field(default=600.0, ge=1, le=90 * 86_400)
    """Seconds the signal looks back; for what another job reports, the age at which a report counts no longer."""
    for_s: float = Field(default=300.0, ge=0, le=30 * 86_400)
    """Seconds the condition must hold before anybody is told."""
    clear_s: float = Field(default=300.0, ge=0, le=30 * 86_400)
    """Seconds it must be over before the alert is resolved, so that a value on the edge is one alert, not many."""
    remind_s: float | None = Field(default=6 * 3600.0, ge=60)
    """Seconds after which an alert that lasts is sent again; null never does."""
    min_count: int = Field(default=1, ge=1)
    """Requests, predictions or feedback in the window below which the signal says nothing."""


_HOUR, _DAY = 3600, 86_400

DEFAULT_RULES: dict[str, dict[str, Any]] = {
    "drift": {"signal": "drift", "threshold": 0, "window_s": 2 * _DAY, "for_s": 0, "clear_s": 0, "remind_s": _DAY},
    "estimated_accuracy": {
        "signal": "estimated_accuracy", "when": "below", "threshold": 0.8, "window_s": 2 * _DAY, "for_s": 0,
        "clear_s": 0, "remind_s": _DAY,
    },
    "accuracy": {
        "signal": "accuracy", "when": "below", "threshold": 0.8, "severity": "critical", "window_s": 7 * _DAY,
        "for_s": 0, "remind_s": _DAY, "min_count": 30,
    },
    "class_mix": {
        "signal": "class_mix", "threshold": 0.4, "window_s": _HOUR, "for_s": 900, "remind_s": _DAY, "min_count": 200,
    },
    "errors": {"signal": "error_rate", "threshold": 0.02, "critical": 0.1, "min_count": 20},
    "latency": {"signal": "latency_p99_ms", "threshold": 1000, "min_count": 50},
    "rejections": {"signal": "rejection_rate", "threshold": 0.2, "min_count": 20},
    "dropped_rows": {"signal": "dropped_rows", "threshold": 0, "for_s": 0, "clear_s": 600},
    "disk": {"signal": "disk_free", "when": "below", "threshold": 0.1, "critical": 0.03, "for_s": 60},
    "deployment": {"signal": "deployment_failed", "threshold": 0, "severity": "critical", "for_s": 60, "clear_s": 0},
    "service": {"signal": "service_up", "when": "below", "threshold": 1, "severity": "critical", "for_s": 120,
                "clear_s": 60},
    "retraining": {
        "signal": "retraining_failed", "threshold": 0, "severity": "critical", "window_s": 30 * _DAY, "for_s": 0,
        "clear_s": 0, "remind_s": _DAY,
    },
    "no_traffic": {
        "signal": "traffic", "when": "below", "threshold": 1, "severity": "info", "window_s": _HOUR, "for_s": 0,
        "clear_s": 0, "remind_s": _DAY,
    },
}  # fmt: skip
"""The built-in rules. Thresholds are starting points, chosen without anybody's traffic."""


class ChannelSettings(Settings):
    """Where messages go."""

    url: SecretStr
    """An Apprise URL (`jsons://host/path`, `slack://…`, `mailtos://…`), or where it is read from when needed:
    `env:NAME` or `file:PATH`. A URL often holds a password, and settings are committed: prefer the latter two."""
    min_severity: Severity = "info"
    """Alerts below it are not sent here."""


class OutboxSettings(Settings):
    """Messages that wait for their channel."""

    first_wait_s: float = Field(default=10.0, gt=0, le=3600)
    """Seconds after the first failure until the next try; doubles with each, with jitter."""
    max_wait_s: float = Field(default=900.0, gt=0, le=86_400)
    """Longest time between two tries, in seconds."""
    give_up_hours: float = Field(default=24.0, gt=0, le=24 * 30)
    """Age, in hours, at which a message is given up."""
    max_pending: int = Field(default=1000, ge=1, le=100_000)
    """Most messages waiting; above it the oldest are given up."""
    keep_days: float = Field(default=30.0, gt=0, le=3650)
    """Days for which messages sent or given up stay in the list."""
    send_timeout_s: float = Field(default=60.0, ge=10, le=600)
    """Seconds after which a try whose sender was killed counts as failed and another sender may take it."""


class AlertSettings(Settings):
    """Alerts: rules, channels, and the process that watches (`visionloop alerts run`)."""

    interval_s: float = Field(default=30.0, ge=0.1, le=3600)
    """Seconds between two looks of `visionloop alerts run`."""
    service_url: str | None = None
    """Where the service's metrics are read; null is `serving.host` and `serving.port`, over http."""
    service_key: SecretStr | None = None
    """API key of the role admin for them, as `env:NAME` or `file:PATH`; null sends none."""
    public_url: str | None = None
    """Address under which people reach the service, for links in messages; null takes `service_url`."""
    metrics_port: int | None = Field(default=None, ge=1, le=65535)
    """Port on which `visionloop alerts run` shows its own Prometheus metrics; null shows none."""
    metrics_host: str = "127.0.0.1"
    """Address of that port."""
    drift_file: str = "mlruns/monitoring/drift.json"
    """What the drift job found last, relative to the state folder."""
    retraining_file: str = "mlruns/monitoring/retraining.json"
    """How the last retraining ended, relative to the state folder."""
    stale_hours: float = Field(default=24.0, gt=0)
    """Hours without any value after which a firing alert is closed."""
    rules: dict[str, RuleSettings] = Field(default_factory=dict)
    """By name. A built-in rule keeps what is not mentioned here; any other name makes a rule of its own."""
    channels: dict[str, ChannelSettings] = Field(default_factory=dict)
    """By a name that may be shown."""
    outbox: OutboxSettings = OutboxSettings()
    """Messages that wait."""

    @field_validator("rules", mode="before")
    @classmethod
    def _fill_in(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        merged: dict[str, Any] = dict(DEFAULT_RULES)
        for name, rule in value.items():
            merged[name] = {**DEFAULT_RULES.get(name, {}), **rule} if isinstance(rule, dict) else rule
        return merged
