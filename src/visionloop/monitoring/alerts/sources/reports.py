"""What other jobs leave behind: small JSON files in the state folder, read here and written there.

A report that is missing says nothing, and neither does one older than the rule's window.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import Field, ValidationError

from visionloop.core.errors import DataError
from visionloop.core.settings import Settings
from visionloop.monitoring.alerts.observations import Observation
from visionloop.monitoring.alerts.settings import RuleSettings, Severity


class Finding(Settings):
    """One thing that a drift job looked at."""

    name: str
    """`drift` (judged by `severity`) or `estimated_accuracy` (judged by `value`)."""
    label: str = ""
    """The task."""
    value: float = Field(allow_inf_nan=False)
    """In its own unit."""
    severity: Severity | None = None
    """What the job calls it; null is no drift."""
    text: str = ""
    """A sentence for people."""
    evidence: str = ""
    """Link or path of its report."""


class _File(Settings):
    created_at: datetime
    """When, with a time zone."""


class DriftFile(_File):
    """What the drift job writes when it ends."""

    observations: tuple[Finding, ...]
    """Every task's, also those without drift."""


class RetrainingFile(_File):
    """What a retraining writes when it ends."""

    status: str
    """`failed`, or anything else."""
    task: str = ""
    """Which task it was for."""
    step: str = ""
    """Where it failed."""
    error: str = ""
    """Why, in one line."""
    evidence: str = ""
    """Link or path of its log."""


File = TypeVar("File", bound=_File)


class _Report(ABC, Generic[File]):
    """A file that a job writes; `signals` are what it tells of."""

    signals: frozenset[str]
    _schema: type[File]

    def __init__(self, path: Path) -> None:
        self._path = path

    def refresh(self, now: datetime) -> None:
        """Nothing to prepare."""

    def observe(self, rule: RuleSettings, now: datetime) -> list[Observation]:
        """As `Source`; a file that is missing, or older than the rule's window, says nothing."""
        try:
            report = self._schema.model_validate_json(self._path.read_text())
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError, ValidationError) as error:
            raise _damaged(self._path, error) from None
        return self._told(report, rule) if _age(report.created_at, now) <= timedelta(seconds=rule.window_s) else []

    @abstractmethod
    def _told(self, report: File, rule: RuleSettings) -> list[Observation]:
        """What a report that counts says to a rule."""


class DriftReport(_Report[DriftFile]):
    """`drift` (0 none, 1 some) and `estimated_accuracy` (0 to 1), by task, from the drift job's file.

    Whether there is drift is the job's decision: it knows windows, tests and their false alarms.
    """

    signals = frozenset({"drift", "estimated_accuracy"})
    _schema = DriftFile

    def _told(self, report: DriftFile, rule: RuleSettings) -> list[Observation]:
        return [_judged(finding) for finding in report.observations if finding.name == rule.signal]


class RetrainingReport(_Report[RetrainingFile]):
    """`retraining_failed`: 1 after a retraining that failed, 0 after one that ended otherwise."""

    signals = frozenset({"retraining_failed"})
    _schema = RetrainingFile

    def _told(self, report: RetrainingFile, rule: RuleSettings) -> list[Observation]:  # noqa: ARG002
        failed = report.status == "failed"
        told = f"the retraining failed at {report.step or 'an unnamed step'}: {report.error or 'no reason given'}"
        return [
            Observation(
                value=float(failed),
                label=report.task,
                text=told if failed else f"the last retraining ended as {report.status}",
                evidence=report.evidence,
            )
        ]


def _judged(finding: Finding) -> Observation:
    value, severity = finding.value, finding.severity
    if finding.name == "drift":
        value = float(severity is not None)
    return Observation(
        value=value,
        label=finding.label,
        text=finding.text or f"{finding.name} is {finding.value:g}",
        evidence=finding.evidence,
        severity=severity,
    )


def _age(created_at: datetime, now: datetime) -> timedelta:
    return now - (created_at if created_at.tzinfo else created_at.replace(tzinfo=UTC))


def _damaged(path: Path, error: Exception) -> DataError:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        reason = f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}"
    else:
        reason = type(error).__name__
    return DataError(
        f"the report cannot be used: {reason}",
        where=path.name,
        expected="the JSON of docs/alerts.md",
        action="run the job that writes it again",
    )
