"""Working on jobs: their images are asked about through the models' queues, group by group."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
import uuid
import zipfile
from collections.abc import Awaitable, Coroutine, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import orjson

from visionloop.core.errors import ImageError
from visionloop.serving.answering import count, results_of
from visionloop.serving.batches.archive import Archive
from visionloop.serving.batches.progress import Progress, open_results
from visionloop.serving.batches.state import CANCEL, IMAGES, RESULTS, JobFolders, JobState, hold, save
from visionloop.serving.batching import Served
from visionloop.serving.caller import Caller
from visionloop.serving.live import Answer, Job, LiveModel
from visionloop.serving.memory import Memory
from visionloop.serving.models import Fleet
from visionloop.serving.options import PredictOptions
from visionloop.serving.problems import Problem, image_problem
from visionloop.serving.refusals import internal_error
from visionloop.serving.settings import ServingSettings

_log = logging.getLogger(__name__)

_LOOK_S = 2.0
"""Seconds between looks for jobs that another worker accepted or left behind."""
_BACK_OFF_S = 0.2
_ROOM_S = 0.02
"""Seconds between looks whether the writers have caught up, which takes them a few milliseconds an image."""
_ATTEMPTS = 5
"""How often an image is asked about that gets no answer in time."""

_T = TypeVar("_T")


class Worker:
    """What the threads of this process do; each of them calls `run`."""

    def __init__(
        self,
        settings: ServingSettings,
        folders: JobFolders,
        fleet: Fleet,
        memory: Memory,
        loop: asyncio.AbstractEventLoop,
        *,
        stop: threading.Event,
        wake: threading.Event,
    ) -> None:
        """Prepare.

        Args:
            settings: Limits of the service.
            folders: Where jobs lie.
            fleet: The models.
            memory: Where answers are remembered.
            loop: The event loop of the models' queues.
            stop: Set when running jobs are to be left to others.
            wake: Set when there may be something to do.
        """
        self._settings = settings
        self._folders = folders
        self._fleet = fleet
        self._memory = memory
        self._loop = loop
        self._stop = stop
        self._wake = wake

    def run(self) -> None:
        """Work until told to stop, or until the event loop is closed."""
        while not self._stop.is_set() and not self._loop.is_closed():
            self._wake.clear()
            try:
                self._folders.clean()
                if self._work_on_one():
                    continue
            except Exception:
                # The thread must outlive whatever a strange folder does to it.
                _log.exception("batch jobs could not be worked on")
            self._wake.wait(_LOOK_S)

    def _work_on_one(self) -> bool:
        for state in self._folders.unfinished():
            if state.task not in self._fleet.lineups:
                continue
            folder = self._folders.root / state.id
            with hold(folder) as held:
                # Another worker may have finished it since the look.
                current = self._folders.read(state.id) if held else None
                if current is None or current.finished:
                    continue
                self._run_job(folder, current)
                return True
        return False

    def _run_job(self, folder: Path, state: JobState) -> None:
        progress = Progress(folder, state)
        try:
            with (
                Archive(folder / IMAGES, state.every_member, self._settings) as archive,
                open_results(folder / RESULTS, progress) as results,
            ):
                progress.begin()
                size = self._settings.batching.max_batch
                while group := archive.images[progress.done : progress.done + size]:
                    self._check(folder)
                    rows = self._rows(folder, state, archive, group, progress.done)
                    results.write(b"".join(orjson.dumps(row) + b"\n" for row in rows))
                    results.flush()
                    progress.add(rows)
        except _StoppedError:
            save(folder, progress.state("waiting"))
        except _CancelledError:
            self._folders.finish(folder, progress.state("cancelled"), "cancelled")
        except Problem as problem:
            self._folders.finish(folder, progress.state("failed"), "failed", problem.what)
        except Exception as error:
            _log.exception("batch %s failed", state.id)
            what = error.strerror if isinstance(error, OSError) else None
            self._folders.finish(
                folder, progress.state("failed"), "failed", what or "an error of ours; see the service's log"
            )
        else:
            self._folders.finish(folder, progress.state("done"), "done")

    def _check(self, folder: Path) -> None:
        if self._stop.is_set():
            raise _StoppedError
        if (folder / CANCEL).exists():
            raise _CancelledError

    def _rows(
        self, folder: Path, state: JobState, archive: Archive, group: Sequence[zipfile.ZipInfo], first: int
    ) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        jobs, targets = [], []
        for index, member in enumerate(group, first):
            row: dict[str, Any] = {"index": index, "image": member.filename}
            rows.append(row)
            try:
                observed = self._memory.store is not None and state.store is not False
                jobs.append(Job(archive.read(member), member.filename, observed=observed))
                targets.append(row)
            except Problem as problem:
                row["error"] = _told(problem)
        for row, answer in zip(targets, self._ask(folder, state.task, jobs), strict=True):
            if isinstance(answer, _Told):
                row.update(self._answered(folder, state, row["index"], answer))
            else:
                row["error"] = _told(answer)
        return rows

    def _answered(self, folder: Path, state: JobState, index: int, told: _Told) -> dict[str, Any]:
        """What the result's row says of an image, which is remembered first."""
        live = told.live
        # Made of the job's, so that an image asked about again after a crash has no second row in the store.
        id_ = uuid.uuid5(uuid.UUID(state.id), str(index)).hex
        options = PredictOptions(top_k=state.top_k, threshold=state.threshold)
        stored, (asked,) = results_of(live, [told.served], [id_], options)
        while not self._memory.has_room():
            self._check(folder)
            self._stop.wait(_ROOM_S)
        self._memory.remember(
            Caller(state.request_id, state.key_id),
            live,
            [told.served],
            stored,
            seconds=told.served.queue_s + told.served.work_s,
            keep_images=state.store,
        )
        count(live, [told.served])
        model = f"{live.variant.model} {live.variant.version}"
        record = {name: value for name, value in asked.items() if name not in ("id", "image")}
        return {"id": id_, **asked["image"], "model": model, **record}

    def _ask(self, folder: Path, task: str, jobs: Sequence[Job]) -> list[_Told | Problem]:
        """Answers in order; waits as long as the service is busy with others."""
        answers: dict[int, _Told | Problem] = {}
        attempts = 0
        while left := [index for index in range(len(jobs)) if index not in answers]:
            self._check(folder)
            lineup = self._fleet.lineups.get(task)
            if lineup is None:
                raise _StoppedError
            live = lineup.champion
            # Half the queue is left to those who wait for their answers.
            if live.waiting > self._settings.batching.max_queue // 2:
                self._stop.wait(_BACK_OFF_S)
                continue
            outcomes = self._on_loop(_each(live, [jobs[index] for index in left]))
            attempts += any(isinstance(outcome, Problem) and outcome.status == 504 for outcome in outcomes)
            for index, outcome in zip(left, outcomes, strict=True):
                if not _is_busy(outcome, attempts):
                    answers[index] = _judged(live, outcome)
            if len(answers) < len(jobs):
                self._stop.wait(_BACK_OFF_S)
        return [answers[index] for index in range(len(jobs))]

    def _on_loop(self, work: Coroutine[Any, Any, _T]) -> _T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        while True:
            try:
                return future.result(timeout=0.1)
            except concurrent.futures.TimeoutError:
                if self._stop.is_set():
                    future.cancel()
                    raise _StoppedError from None
            except concurrent.futures.CancelledError:
                raise _StoppedError from None


class _StoppedError(Exception):
    """The worker stops, or serves the task no more; the job waits for whoever can go on."""


class _CancelledError(Exception):
    """The client wants no more."""


class _Told(NamedTuple):
    live: LiveModel
    served: Served[Answer]


async def _each(live: LiveModel, jobs: Sequence[Job]) -> list[list[Served[Answer]] | BaseException]:
    """Every image for itself, so that one that is refused takes no other along; the queue joins them again."""
    work: list[Awaitable[list[Served[Answer]]]] = [live.answer([job]) for job in jobs]
    return await asyncio.gather(*work, return_exceptions=True)


def _is_busy(outcome: object, attempts: int) -> bool:
    if not isinstance(outcome, Problem):
        return False
    return outcome.status == 503 or (outcome.status == 504 and attempts < _ATTEMPTS)


def _judged(live: LiveModel, outcome: list[Served[Answer]] | BaseException) -> _Told | Problem:
    if isinstance(outcome, list):
        return _Told(live, outcome[0])
    if isinstance(outcome, ImageError):
        return image_problem(outcome)
    if isinstance(outcome, Problem):
        return outcome
    _log.error("an image of a batch got no answer", exc_info=outcome)
    return internal_error("batch")


def _told(problem: Problem) -> dict[str, str]:
    return {"code": problem.code, "detail": problem.what}
