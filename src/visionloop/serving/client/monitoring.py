"""The client's questions about how the service fares."""

from __future__ import annotations

from typing import Any, Literal

from visionloop.serving.client.options import Shape
from visionloop.serving.schema_drift import DriftAnswer
from visionloop.serving.schema_monitoring import (
    AlertsAnswer,
    ComparisonAnswer,
    RequestsAnswer,
    ServiceAnswer,
    SummaryAnswer,
)

Range = Literal["hour", "day", "week", "month"]


class MonitoringCalls:
    """A part of `Client`."""

    def _send(self, method: str, path: str, shape: type[Shape], **parts: Any) -> Shape:
        raise NotImplementedError

    def monitoring_summary(self, task: str, *, range: Range = "day") -> SummaryAnswer:
        """Traffic, latency, answers and accuracy over time."""
        return self._send("GET", "/v1/monitoring/summary", SummaryAnswer, params={"task": task, "range": range})

    def monitoring_comparison(
        self, task: str, *, first: str | None = None, second: str | None = None
    ) -> ComparisonAnswer:
        """Two versions by their answers; by default champion and canary, else the two that answered last."""
        given = {name: value for name, value in {"first": first, "second": second}.items() if value is not None}
        return self._send("GET", "/v1/monitoring/comparison", ComparisonAnswer, params={"task": task, **given})

    def monitoring_drift(self, task: str) -> DriftAnswer:
        """What the drift check found last."""
        return self._send("GET", "/v1/monitoring/drift", DriftAnswer, params={"task": task})

    def monitoring_alerts(self) -> AlertsAnswer:
        """What fires, and what did; needs the role admin where keys are asked for."""
        return self._send("GET", "/v1/monitoring/alerts", AlertsAnswer)

    def monitoring_service(self) -> ServiceAnswer:
        """Requests, refusals and stages since the service started; needs the role admin where keys are asked for."""
        return self._send("GET", "/v1/monitoring/service", ServiceAnswer)

    def monitoring_requests(self, *, range: Range = "day") -> RequestsAnswer:
        """How requests ended over time; needs the role admin where keys are asked for."""
        return self._send("GET", "/v1/monitoring/requests", RequestsAnswer, params={"range": range})
