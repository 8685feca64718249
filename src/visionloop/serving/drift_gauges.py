"""What the drift check found last, among the service's metrics: the check is another process and leaves files."""

from __future__ import annotations

import logging
import math
from pathlib import Path

from visionloop.core.errors import VisionloopError
from visionloop.monitoring.drift.summary import FOLDER, DriftSummary, read_summary
from visionloop.serving import metrics
from visionloop.task import task_names

_log = logging.getLogger(__name__)

_SEVERITIES = {None: 0, "warning": 1, "critical": 2}


class DriftGauges:
    """Reads a task's file again when it has changed."""

    def __init__(self, state: Path) -> None:
        """`state` is the folder of what the service and the jobs write."""
        self._paths = {task: state / FOLDER / f"{task}.json" for task in task_names()}
        self._seen: dict[str, tuple[int, int]] = {}

    def show(self) -> None:
        """Set the gauges; a file that cannot be read is said once and leaves them as they are."""
        for task, path in self._paths.items():
            try:
                found = path.stat()
            except OSError:
                continue
            stamp = (found.st_mtime_ns, found.st_ino)
            if self._seen.get(task) == stamp:
                continue
            self._seen[task] = stamp
            try:
                summary = read_summary(path)
            except VisionloopError as error:
                _log.warning("%s", error)
                continue
            if summary is not None:
                _set(task, summary)


def _set(task: str, summary: DriftSummary) -> None:
    result = summary.latest.result
    auc = next((test.effect for test in result.tests if test.effect_name == "AUC"), None)
    judged = summary.alarm is not None
    metrics.DRIFT_SEVERITY.labels(task).set(_SEVERITIES[summary.severity] if judged else math.nan)
    metrics.DRIFT_TESTS.labels(task).set(len(result.drifted) if result.tests else math.nan)
    metrics.DRIFT_AUC.labels(task).set(math.nan if auc is None else auc)
    estimate = result.accuracy.value if result.tests else None
    metrics.DRIFT_ACCURACY.labels(task).set(math.nan if estimate is None else estimate)
    metrics.DRIFT_CHECKED.labels(task).set(summary.created_at.timestamp())
