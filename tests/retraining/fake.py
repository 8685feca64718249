"""A pipeline whose steps only say that they were there; light, because tests start it in processes of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from visionloop.retraining.job import Job, Run, Step, StepResult
from visionloop.retraining.state import Journal, RunState

NAMES = ("collect", "train", "judge", "promote", "clean")


class Killed(BaseException):
    """As a SIGKILL at that moment: nothing of the job's own code runs afterwards."""


class Pipeline:
    """Steps that write into a folder what they do; `at` is asked before and after each."""

    def __init__(self, root: Path, at: Callable[[str, str], None] = lambda step, moment: None) -> None:
        self.root, self.at = root, at
        self.calls: list[str] = []

    def steps(self) -> list[Step]:
        return [Step(name, lambda run, name=name: self._do(name, run)) for name in NAMES]  # type: ignore[misc]

    def _do(self, name: str, run: Run) -> StepResult:
        self.calls.append(name)
        self.at(name, "before")
        if name == "promote":
            # As the registry does: the same version again changes nothing.
            champion = self.root / "champion"
            if not champion.exists() or champion.read_text() != run.state.run:
                with (self.root / "audit").open("a") as file:
                    file.write(run.state.run + "\n")
                champion.write_text(run.state.run)
        run.work.mkdir(parents=True, exist_ok=True)
        (run.work / name).touch()
        self.at(name, "after")
        return StepResult(line=f"{name} done", values={"by": name}, outcome="promoted" if name == "promote" else None)


def make(root: Path, pipeline: Pipeline, **options: Any) -> Job:
    return Job(Journal(root / "state"), pipeline.steps(), show=lambda line: None, **options)


def go(job: Job) -> RunState:
    """What one call of the command does."""
    state = job.unfinished()
    return job.work(state if state is not None else job.start("classification", ["labels: 3 new"], "ann"))
