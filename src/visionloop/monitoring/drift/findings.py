"""What alerts read of drift checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from visionloop.monitoring.alerts.sources.reports import DriftFile, Finding
from visionloop.monitoring.drift.summary import DriftSummary


def drift_file(summaries: Sequence[DriftSummary], evidence: Mapping[str, str], now: datetime) -> DriftFile:
    """What alerts read. What could not be judged is left out: it proves neither drift nor its end.

    Args:
        summaries: One a task.
        evidence: Path or address of each task's report.
        now: With a time zone.
    """
    findings: list[Finding] = []
    for summary in summaries:
        link = evidence.get(summary.task, "")
        if summary.alarm is not None:
            findings.append(
                Finding(
                    name="drift",
                    label=summary.task,
                    value=summary.num_drifted / max(1, summary.num_looked_at),
                    severity=summary.severity,
                    text=f"{summary.model} {summary.version}: {summary.sentence()}",
                    evidence=link,
                )
            )
        estimate = summary.latest.result.accuracy
        if estimate.value is not None and summary.num_looked_at:
            text = f"{summary.model} {summary.version}: {estimate.metric} is estimated at {estimate.value:.1%}"
            findings.append(
                Finding(name="estimated_accuracy", label=summary.task, value=estimate.value, text=text, evidence=link)
            )
    return DriftFile(created_at=now, observations=tuple(findings))
