"""The drill's own trainings: the first models, and behind them, while the play goes on, the bad ones."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from pipelines.drill.model import UNJUDGED
from pipelines.drill.subject import Subject
from pipelines.drill.timeline import Timeline
from pipelines.drill.workspace import Workspace
from visionloop.core.cores import usable_cores


class Trainings:
    """As many at a time as there are tasks; whoever is first done with a first model begins with the bad ones.

    A bad model is trained with little claim to the processor, and judged when the play asks for it: its training would
    otherwise keep everybody waiting, and what matters is what the gate says.
    """

    def __init__(self, workspace: Workspace, subjects: Sequence[Subject], timeline: Timeline, *, bad: bool) -> None:
        """Start.

        Args:
            workspace: Where.
            subjects: Whose models.
            timeline: Hears of it.
            bad: Whether there will be bad models.
        """
        self._workspace, self._subjects, self._timeline = workspace, subjects, timeline
        self._pool = ThreadPoolExecutor(len(subjects))
        # Side by side, trainings of several threads would wait for each other's.
        self._threads = f"training.threads={max(1, usable_cores() // len(subjects))}"
        self._first: list[Future[None]] = []
        for subject in subjects:
            subject.write_source(workspace.root / "data" / subject.task)
            timeline.note("start", "training the first model", task=subject.task)
            self._first.append(self._pool.submit(self._train, subject))
        # The latest first: it is the longest.
        self._bad = [self._pool.submit(self._spoil, subject) for subject in reversed(subjects) if bad]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def wait_for_first(self) -> None:
        """Until there is a champion of each task.

        Raises:
            VisionloopError: a training failed.
        """
        for subject, training in zip(self._subjects, self._first, strict=True):
            training.result()
            self._timeline.note("first model", "trained, evaluated, promoted", task=subject.task)

    def judge_bad(self) -> None:
        """Have the bad models registered and judged.

        Raises:
            VisionloopError: a training failed.
        """
        for training in self._bad:
            training.result()
        judged: list[Future[str]] = [
            self._pool.submit(self._workspace.stage, "register", *_words("bad", subject)) for subject in self._subjects
        ]
        for one in judged:
            one.result()

    def _train(self, subject: Subject) -> None:
        root = self._workspace.root
        self._workspace.stage("drill.model", *_words("first", subject), self._threads)
        # Where `visionloop retrain` looks for what the first model was made from.
        (root / "build").mkdir(exist_ok=True)
        (root / _folder("first", subject) / subject.task).rename(root / "build" / subject.task)

    def _spoil(self, subject: Subject) -> None:
        words = (*_words("bad", subject), *subject.spoiling(), "training.threads=1")
        self._workspace.stage("drill.model", UNJUDGED, *words, aside=True)


def _folder(name: str, subject: Subject) -> Path:
    # One each: one pipeline at a time works in a folder.
    return Path(f"{name}-{subject.task}")


def _words(name: str, subject: Subject) -> tuple[str, ...]:
    folder = _folder(name, subject)
    return f"task={subject.task}", f"build={folder}", f"reports={folder}/reports"
