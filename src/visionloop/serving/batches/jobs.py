"""The batch jobs of a service: what its API asks of them, and the threads that work on them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from starlette.requests import Request

from visionloop.serving.batches.intake import Intake
from visionloop.serving.batches.refusals import not_done, unknown
from visionloop.serving.batches.results import WRITERS, ResultForm, read_rows
from visionloop.serving.batches.state import CANCEL, ID, RESULTS, JobFolders, JobState, hold
from visionloop.serving.batches.work import Worker
from visionloop.serving.memory import Memory
from visionloop.serving.models import Fleet
from visionloop.serving.refusals import bad_option
from visionloop.serving.settings import ServingSettings


class BatchJobs:
    """The batch jobs of a state folder, and the threads of this worker that work on them."""

    def __init__(self, settings: ServingSettings, state: Path, fleet: Fleet, memory: Memory) -> None:
        """Prepare; nothing runs before `start`.

        Args:
            settings: Limits of the service.
            state: Folder of what the service writes.
            fleet: The models.
            memory: Where answers are remembered.
        """
        self._settings = settings
        self._fleet = fleet
        self._memory = memory
        self._folders = JobFolders(state / settings.batches.folder, settings.batches)
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._intake = Intake(settings, self._folders, fleet, self._wake)
        self._threads: list[threading.Thread] = []

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to work, on jobs left behind too; may be called twice.

        Args:
            loop: The event loop of the models' queues.
        """
        if self._threads or self._stop.is_set():
            return
        worker = Worker(
            self._settings, self._folders, self._fleet, self._memory, loop, stop=self._stop, wake=self._wake
        )
        for number in range(self._settings.batches.max_running):
            thread = threading.Thread(target=worker.run, name=f"batches-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Leave running jobs to others, whole rows written; may be called twice."""
        self._stop.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(timeout=5)

    async def submit(self, request: Request) -> JobState:
        """Take the images of a request and queue the job.

        Raises:
            Problem: the request is refused; nothing of it is kept.
            ClientDisconnect: the client left; neither is anything.
        """
        return await self._intake.take(request)

    def state(self, id_: str) -> JobState:
        """How a job stands.

        Raises:
            Problem: 404.
        """
        state = self._folders.read(id_) if ID.fullmatch(id_) else None
        if state is None:
            raise unknown(id_)
        if not state.finished and (self._folders.root / id_ / CANCEL).exists():
            return state.model_copy(update={"status": "cancelled"})
        return state

    def cancel(self, id_: str) -> JobState | None:
        """Stop a job before its next images, or remove one that is finished.

        Returns:
            The job as it stands, or None where it was removed.

        Raises:
            Problem: 404.
        """
        self.state(id_)
        folder = self._folders.root / id_
        try:
            (folder / CANCEL).touch()
        except FileNotFoundError:
            raise unknown(id_) from None
        with hold(folder) as held:
            state = self._folders.read(id_)
            if held and state is not None:
                if state.finished:
                    self._folders.remove(folder)
                    return None
                self._folders.finish(folder, state, "cancelled")
        return self.state(id_)

    def result(self, id_: str, form: str) -> Iterator[bytes]:
        """The result in pieces.

        Raises:
            Problem: 404; 400 for another form, or COCO where the model finds no boxes; 409 while it is not done.
        """
        if form not in get_args(ResultForm):
            raise bad_option("form", f"there is no form {form!r:.80}", "csv, json or coco")
        state = self.state(id_)
        if state.status != "done":
            raise not_done(state)
        if form == "coco" and state.boxes is False:
            raise bad_option("form", "the answers of this batch have no boxes", "csv or json")
        try:
            # Opened here, so that a removal after this point takes nothing away.
            file = (self._folders.root / id_ / RESULTS).open("rb")
        except FileNotFoundError:
            raise unknown(id_) from None
        return WRITERS[form](read_rows(file), state)
