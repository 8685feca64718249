"""What a retraining leaves for people and for the alerts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from visionloop.core import files
from visionloop.core.errors import VisionloopError
from visionloop.monitoring.alerts.sources.reports import RetrainingFile
from visionloop.retraining.job import LOG
from visionloop.retraining.state import Journal, RunState

_MARKS = {"waiting": " ", "running": ">", "done": "x", "failed": "!"}


def ending(state: RunState, folder: Path, now: datetime) -> RetrainingFile:
    """How a run ended or failed, as the alerts read it; `folder` is the run's."""
    failed = next((step for step in state.steps if step.status == "failed"), None)
    return RetrainingFile(
        created_at=now,
        status="failed" if state.status == "failed" else state.outcome or state.status,
        task=state.task,
        step=failed.name if failed else "",
        error=_one_line(failed.error) if failed else "",
        evidence=str(folder / LOG) if failed else str(folder),
    )


def not_started(task: str, error: VisionloopError, now: datetime, *, step: str = "start") -> RetrainingFile:
    """That a task, or at `step` its canary, could not even be looked at, as the alerts read it."""
    return RetrainingFile(
        created_at=now, status="failed", task=task, step=step, error=_one_line(error.what), evidence=error.where
    )


def tell_alerts(path: Path, reports: Sequence[RetrainingFile]) -> None:
    """Write the file from which `visionloop alerts` knows how retrainings ended; without a report it stays as it is.

    The file has room for one: a failure goes before any other end.
    """
    if reports:
        worst = next((report for report in reports if report.status == "failed"), reports[-1])
        files.write_text(path, worst.model_dump_json(indent=2) + "\n")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]


def status_text(journal: Journal, task: str) -> str:
    """The latest run step by step, and how those before it ended."""
    state = journal.read()
    if state is None:
        return f"{task}: no retraining yet"
    lines = [
        f"{task}: {state.run}, {state.status}" + (f", {state.outcome}" if state.outcome else ""),
        f"  why:     {'; '.join(state.reasons)}",
        f"  began:   {_time(state.started_at)} by {state.who}"
        + (f", ended {_time(state.ended_at)}" if state.ended_at else "")
        + f", {state.busy_s:.0f} s of work",
        f"  reports: {journal.run_folder(state.run)}",
    ]
    for step in state.steps:
        took = (
            f" ({(step.ended_at - step.started_at).total_seconds():.1f} s)" if step.started_at and step.ended_at else ""
        )
        tries = f" [{step.attempts} tries]" if step.attempts > 1 else ""
        lines.append(f"  [{_MARKS[step.status]}] {step.name:<9}{took}{tries} {step.error or step.line}".rstrip())
    before = [item for item in journal.history() if item.run != state.run][-5:]
    lines += [f"  before:  {_time(item.ended_at)} {item.outcome}: {item.line}" for item in reversed(before)]
    return "\n".join(lines)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
