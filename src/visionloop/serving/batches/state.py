"""A job on disk: its folder, the state in it, and the lock of whoever works on it."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from visionloop.core import files
from visionloop.core.errors import DataError
from visionloop.serving.settings import BatchJobSettings

Status = Literal["waiting", "running", "done", "failed", "cancelled"]

ID = re.compile(r"[0-9a-f]{32}")
"""A job's id, which is its folder's name."""
JOB, IMAGES, RESULTS, CANCEL = "job.json", "images.zip", "results.jsonl", "cancel"
"""Files of a job's folder."""
NEW = ".new-"
"""Begins the name of a folder whose images are still arriving."""
_LOCK = "lock"
_GONE = ".gone-"
_FINISHED = frozenset({"done", "failed", "cancelled"})
_CLEAN_S = 3600.0
_NOT_TOLD = {"every_member", "boxes", "top_k", "threshold", "store", "request_id", "key_id"}


class JobState(BaseModel):
    """What `job.json` says.

    Attributes:
        id: Hex UUID; the folder's name.
        task: Whose model is asked.
        status: As it was last written.
        total: Images to ask about.
        done: Images with a row.
        failures: Rows without a prediction.
        skipped: Members of the archive that are no images by their suffix.
        every_member: Whether the archive was made of a form, whose files need no suffix.
        created_at: Seconds since the epoch; so are `started_at` and `finished_at`.
        images_per_s: Since the worker took the job.
        models: Name and version of every model that answered.
        boxes: Whether predictions have boxes; None while there is none.
        top_k: As in a request.
        threshold: As in a request.
        store: As in a request.
        request_id: Of the request that brought it.
        key_id: Who brought it; empty without keys.
        error: Why it failed.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    task: str
    status: Status = "waiting"
    total: int
    done: int = 0
    failures: int = 0
    skipped: int = 0
    every_member: bool = False
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    images_per_s: float | None = None
    models: tuple[str, ...] = ()
    boxes: bool | None = None
    top_k: int | None = None
    threshold: float | None = None
    store: bool | None = None
    request_id: str = ""
    key_id: str = ""
    error: str | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.status in _FINISHED

    def answer(self) -> dict[str, Any]:
        """As the API tells it."""
        left = self.total - self.done
        running = self.status == "running" and self.images_per_s
        told = self.model_dump(exclude=_NOT_TOLD)
        return {
            **told,
            "eta_s": round(left / self.images_per_s, 1) if running and self.images_per_s else None,
            "url": f"/v1/batches/{self.id}",
        }


class JobFolders:
    """The folders of all jobs.

    Attributes:
        root: Folder they lie in; may not exist yet.
    """

    def __init__(self, root: Path, limits: BatchJobSettings) -> None:
        self.root = root
        self._limits = limits
        self._finished: set[str] = set()
        self._cleaned = -_CLEAN_S

    def read(self, id_: str) -> JobState | None:
        """The state last written; None for no job, or one that cannot be read."""
        try:
            return JobState.model_validate(files.read_json(self.root / id_ / JOB))
        except (DataError, ValidationError):
            return None

    def unfinished(self) -> list[JobState]:
        """Oldest first."""
        found = []
        for id_ in self.ids() - self._finished:
            state = self.read(id_)
            if state is not None and state.finished:
                self._finished.add(id_)
            elif state is not None:
                found.append(state)
        return sorted(found, key=lambda state: (state.created_at, state.id))

    def ids(self) -> set[str]:
        """Of every job that was accepted."""
        try:
            return {path.name for path in self.root.iterdir() if ID.fullmatch(path.name)}
        except FileNotFoundError:
            return set()

    def finish(self, folder: Path, state: JobState, status: Status, error: str | None = None) -> None:
        """Write the last state of a held job, and drop the files that nobody needs any more."""
        update = {"status": status, "finished_at": time.time(), "error": error}
        save(folder, state.model_copy(update=update))
        (folder / IMAGES).unlink(missing_ok=True)
        if status != "done":
            (folder / RESULTS).unlink(missing_ok=True)

    def remove(self, folder: Path) -> None:
        """Remove a job; it is gone at once, its files soon."""
        gone = folder.with_name(_GONE + folder.name)
        with contextlib.suppress(OSError):  # another worker was faster
            folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def clean(self) -> None:
        """Remove old jobs and what broken-off requests left."""
        if time.monotonic() - self._cleaned < _CLEAN_S or not self.root.is_dir():
            return
        self._cleaned = time.monotonic()
        now = time.time()
        for id_ in self.ids():
            state = self.read(id_)
            if state is not None and now - (state.finished_at or now) > 3600 * self._limits.keep_hours:
                self.remove(self.root / id_)
        for folder in self.root.iterdir():
            left = folder.name.startswith((NEW, _GONE)) or not (folder / JOB).exists()
            with contextlib.suppress(OSError):
                if left and now - folder.stat().st_mtime > self._limits.body_timeout_s + _CLEAN_S:
                    shutil.rmtree(folder, ignore_errors=True)
        self._finished &= self.ids()


def save(folder: Path, state: JobState) -> None:
    """Write a job's state into its folder, whole or not at all."""
    files.write_json(folder / JOB, state.model_dump(mode="json"))


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[bool]:
    """Whether this thread now holds the job, which nobody else does then."""
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(blocking=False)
    except (Timeout, OSError):
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
