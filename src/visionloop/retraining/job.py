"""The job: steps in order, each recorded before and after, so that a killed one is continued where it stopped."""

from __future__ import annotations

import shutil
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from visionloop.core import files
from visionloop.core.errors import BusyError, Interrupted, VisionloopError
from visionloop.retraining.state import Ended, Journal, Outcome, RunState, StepState

BUSY_STATUS = 75
"""Exit status where another retraining is at work: `EX_TEMPFAIL` of sysexits.h, "try again later"."""

LOG = "log.txt"
_MAX_REWINDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What a step did.

    Attributes:
        line: For people.
        values: JSON-like: what later steps need.
        outcome: Ends the run here with this outcome; the last step's clean-up is done all the same.
    """

    line: str
    values: dict[str, Any]
    outcome: Outcome | None = None


class Outdated(VisionloopError):
    """What an earlier step found no longer holds; it and those after it are done again.

    Attributes:
        step: Name of the earliest step to repeat.
    """

    def __init__(self, what: str, *, step: str, where: str, expected: str, action: str) -> None:
        super().__init__(what, where=where, expected=expected, action=action)
        self.step = step


@dataclass(frozen=True, slots=True)
class Run:
    """A run as its steps see it.

    Attributes:
        state: So far.
        folder: For what the run makes; kept for a while after it has ended.
    """

    state: RunState
    folder: Path

    @property
    def work(self) -> Path:
        """For what only the run itself needs; removed when it ends."""
        return self.folder / "work"


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        name: Unique in its job.
        work: Does it; done again after a kill, so it must lead to the same from whatever it left.
    """

    name: str
    work: Callable[[Run], StepResult]


def _now() -> datetime:
    return datetime.now(UTC)


class Job:
    """One task's retraining. Hold `exclusive` around everything but `status`."""

    def __init__(
        self,
        journal: Journal,
        steps: Sequence[Step],
        *,
        attempts: int = 3,
        keep_runs: int = 5,
        now: Callable[[], datetime] = _now,
        show: Callable[[str], None] = print,
    ) -> None:
        """Make a job.

        Args:
            journal: State and history.
            steps: In order.
            attempts: Calls that try to finish one run.
            keep_runs: Ended runs whose folders stay.
            now: The clock.
            show: Takes a line at each step.
        """
        self._journal, self._steps, self._attempts, self._keep = journal, tuple(steps), attempts, keep_runs
        self._now, self._show = now, show

    def unfinished(self) -> RunState | None:
        """The run that a call should go on with, or None; one that was tried too often is given up here."""
        state = self._journal.read()
        if state is None or state.status in ("done", "abandoned"):
            if state is not None:
                self._remember(state)
            return None
        if [item.name for item in state.steps] != [step.name for step in self._steps]:
            self.abandon("another version of visionloop has other steps")
            return None
        if state.status == "failed" and state.calls >= self._attempts:
            self.abandon(f"it failed {state.calls} times")
            return None
        return state

    def abandon(self, why: str) -> None:
        """Give the unfinished run up, if there is one."""
        state = self._journal.read()
        if state is None or state.status in ("done", "abandoned"):
            return
        failed = state.status == "failed"
        ended = state.model_copy(
            update={
                "status": "abandoned",
                "outcome": "failed" if failed else "abandoned",
                "ended_at": state.ended_at or self._now(),
            }
        )
        self._journal.write(ended)
        self._remember(ended)
        self._show(f"run {state.run} is given up: {why}")
        self._clean(ended)

    def start(self, task: str, reasons: Sequence[str], who: str, *, forced: bool = False) -> RunState:
        """Begin a run; `work` then does it."""
        now = self._now()
        state = RunState(
            run=f"{now:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:6]}",
            task=task,
            status="running",
            reasons=tuple(reasons),
            who=who,
            forced=forced,
            started_at=now,
            steps=tuple(StepState(name=step.name) for step in self._steps),
        )
        self._journal.run_folder(state.run).mkdir(parents=True, exist_ok=True)
        self._journal.write(state)
        return state

    def work(self, state: RunState) -> RunState:
        """Do what is left of a run.

        Returns:
            The run, `done` or `failed`; an error of the user's environment is in its step, and in its log.
        """
        state = self._save(state, status="running", calls=state.calls + 1, ended_at=None)
        rewinds = 0
        index = 0
        while index < len(self._steps):
            step, held = self._steps[index], state.steps[index]
            if held.status == "done":
                index += 1
                continue
            state = self._update(
                state, index, status="running", started_at=self._now(), attempts=held.attempts + 1, error="",
                ended_at=None,
            )  # fmt: skip
            try:
                result = step.work(Run(state, self._folder(state)))
            except Outdated as error:
                rewinds += 1
                if rewinds > _MAX_REWINDS:
                    return self._fail(state, index, error)
                self._show(f"{step.name}: {error.what}; again from {error.step}")
                back = [item.name for item in self._steps].index(error.step)
                again = [item.model_copy(update={"status": "waiting", "result": {}}) for item in state.steps[back:]]
                state = self._save(state, steps=(*state.steps[:back], *again))
                index = back
                continue
            except Interrupted:
                raise
            except Exception as error:
                return self._fail(state, index, error)
            state = self._finish(state, index, result)
            self._show(f"{step.name}: {result.line} ({seconds_of(state.steps[index]):.1f} s)")
            index += 1
        state = self._save(state, status="done", ended_at=self._now(), outcome=state.outcome or "unchanged")
        self._remember(state)
        self._clean(state)
        return state

    def _finish(self, state: RunState, index: int, result: StepResult) -> RunState:
        """One write for all that a finished step changes: a kill sees all of it or nothing."""
        steps = list(state.steps)
        steps[index] = steps[index].model_copy(
            update={"status": "done", "ended_at": self._now(), "line": result.line, "result": result.values}
        )
        if result.outcome is not None:
            # With its outcome early, a run needs nothing but the last step, which cleans up.
            for later in range(index + 1, len(steps) - 1):
                steps[later] = steps[later].model_copy(update={"status": "done", "line": "not needed"})
        return self._save(
            state,
            steps=tuple(steps),
            busy_s=state.busy_s + seconds_of(steps[index]),
            outcome=result.outcome or state.outcome,
        )

    def _fail(self, state: RunState, index: int, error: Exception) -> RunState:
        log = self._folder(state) / LOG
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{self._now().isoformat()} step {self._steps[index].name} failed\n")
            file.write("".join(traceback.format_exception(error)) + "\n")
        # A user's error says everything; any other is a bug of ours, whose trace is in the log.
        what = error.what if isinstance(error, VisionloopError) else f"{type(error).__name__}: {error}"
        state = self._update(state, index, status="failed", ended_at=self._now(), error=what)
        self._show(f"{self._steps[index].name}: failed: {error}")
        return self._save(
            state, status="failed", ended_at=self._now(), busy_s=state.busy_s + seconds_of(state.steps[index])
        )

    def _remember(self, state: RunState) -> None:
        """The history's line; a kill between state and history is made good at the next call."""
        last = [item for item in state.steps if item.line or item.error][-1:]
        self._journal.end(
            Ended(
                run=state.run,
                outcome=state.outcome or "abandoned",
                started_at=state.started_at,
                ended_at=state.ended_at or self._now(),
                busy_s=state.busy_s,
                reasons=state.reasons,
                line=(last[0].error or last[0].line) if last else "",
            )
        )

    def _clean(self, state: RunState) -> None:
        shutil.rmtree(self._folder(state) / "work", ignore_errors=True)
        runs = sorted(path for path in (self._journal.folder / "runs").glob("*") if path.name != state.run)
        for old in runs[: max(0, len(runs) - self._keep + 1)]:
            shutil.rmtree(old, ignore_errors=True)

    def _folder(self, state: RunState) -> Path:
        return self._journal.run_folder(state.run)

    def _save(self, state: RunState, **changes: Any) -> RunState:
        state = state.model_copy(update=changes)
        self._journal.write(state)
        return state

    def _update(self, state: RunState, index: int, **changes: Any) -> RunState:
        steps = list(state.steps)
        steps[index] = steps[index].model_copy(update=changes)
        return self._save(state, steps=tuple(steps))


def seconds_of(step: StepState) -> float:
    """How long a step's latest try took; 0 where it has not ended, or the clock went back."""
    if step.started_at is None or step.ended_at is None:
        return 0.0
    return max(0.0, (step.ended_at - step.started_at).total_seconds())


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold all retrainings of a project alone; the system itself lets go of a killed holder's lock.

    Raises:
        BusyError: another retraining is at work.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    holder = folder / ".lock-holder"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        found = holder.read_text().strip() if holder.exists() else "unknown"
        raise BusyError(
            f"another retraining is at work (process {found})",
            where=str(folder),
            expected="one retraining at a time",
            action="wait for it; `visionloop retrain --status` shows how far it is",
        ) from None
    try:
        files.write_text(holder, f"{_host_and_pid()}\n")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _host_and_pid() -> str:
    import os
    import socket

    return f"{os.getpid()} on {socket.gethostname()}"
