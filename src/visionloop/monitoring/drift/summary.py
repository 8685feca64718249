"""What a drift check of one deployed version found, over its windows: for tables, files, gauges and alerts."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from visionloop.core import files
from visionloop.core.errors import DataError
from visionloop.core.settings import Settings
from visionloop.monitoring.drift.result import DriftResult
from visionloop.monitoring.drift.windows import Status

FOLDER = "mlruns/monitoring/drift"
"""Where the latest check of each task lies, relative to the state folder: `<task>.json` and `<task>.html`."""


class WindowReport(Settings):
    """One window."""

    first_at: datetime | None
    """When the first prediction it saw was answered; None where it saw none."""
    last_at: datetime | None
    """When the last one was."""
    result: DriftResult
    """What was found in it; histograms only in the latest."""


class DriftSummary(Settings):
    """One check of one version."""

    created_at: datetime
    """When it was made, with a time zone."""
    task: str
    """Of the model."""
    model: str
    """Its registered name."""
    version: str
    """Its version."""
    digest: str
    """Of its bundle."""
    since: datetime
    """From when on predictions were looked at."""
    num_stored: int
    """Predictions stored in that time."""
    num_measured: int
    """Of them, with what drift is seen by."""
    windows: tuple[WindowReport, ...]
    """Oldest first; only the last may be incomplete."""
    alarm: bool | None
    """Whether enough of the latest complete windows drifted; None where there are too few windows to say."""
    num_looked_at: int
    """Complete windows that the alarm looked at."""
    num_drifted: int
    """Of them, those that drifted."""
    severity: Literal["warning", "critical"] | None
    """Of the alarm; critical where enough of the windows are."""
    remarks: tuple[str, ...] = ()
    """What a reader should know of the predictions that were looked at."""

    @property
    def latest(self) -> WindowReport:
        """The latest complete window; the incomplete one where there is no other."""
        complete = [window for window in self.windows if window.result.status != "insufficient_data"]
        return (complete or list(self.windows))[-1]

    @property
    def status(self) -> Status:
        """Of the latest complete window; `insufficient_data` without one."""
        return self.latest.result.status

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the tests that drifted in the windows the alarm looked at, most frequent first."""
        counts: dict[str, int] = {}
        complete = [window.result for window in self.windows if window.result.status != "insufficient_data"]
        for result in reversed(complete[len(complete) - self.num_looked_at :]):
            for name in result.drifted:
                counts[name] = counts.get(name, 0) + 1
        return tuple(sorted(counts, key=lambda name: -counts[name]))

    def sentence(self) -> str:
        """The verdict in one line."""
        result = self.latest.result
        if self.alarm is None and not self.num_looked_at:
            return f"not enough images: {result.num_images} of {result.num_required} distinct ones"
        verdict = f"{self.num_drifted} of {self.num_looked_at} windows drifted"
        names = ", ".join(self.drifted[:4])
        if len(self.drifted) > 4:
            names += f" and {len(self.drifted) - 4} more"
        more = "" if self.alarm is not None else "; too few windows to say"
        return f"{verdict}{': ' + names if names else ''}{more}"


def write_summary(summary: DriftSummary, path: Path) -> None:
    """Write it as JSON, by rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, summary.model_dump_json(indent=2) + "\n")


def read_summary(path: Path) -> DriftSummary | None:
    """The summary in a file; None where there is no file.

    Raises:
        DataError: damaged, or written by another version.
    """
    try:
        return DriftSummary.model_validate_json(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise DataError(
            f"the drift check's result cannot be read: {type(error).__name__}",
            where=str(path),
            expected="a file that `visionloop drift` wrote",
            action="run `visionloop drift` again",
        ) from None
