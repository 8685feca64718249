"""Batch jobs: many images in one request, worked on in the background and answered with one file.

A job is a folder below the state folder, which all workers share: any of them answers for it, and whichever holds
the job's lock works on it. The operating system frees the lock of a worker that dies, so that another one goes on
after the last image whose row is whole.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import csv
import errno
import io
import logging
import re
import shutil
import struct
import threading
import time
import uuid
import zipfile
import zlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal, NamedTuple, Protocol, TypeVar, get_args

import orjson
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from visionloop.core import files
from visionloop.core.errors import DataError, ImageError, near_matches
from visionloop.core.images import SUFFIXES
from visionloop.serving import metrics
from visionloop.serving.batching import Served
from visionloop.serving.models import Answer, Job, LiveModel
from visionloop.serving.options import parse_options
from visionloop.serving.problems import Problem, image_problem
from visionloop.serving.settings import BatchJobSettings, ServingSettings
from visionloop.serving.upload import FILE_FIELDS

_log = logging.getLogger(__name__)

Status = Literal["waiting", "running", "done", "failed", "cancelled"]
ResultForm = Literal["csv", "json", "coco"]

MEDIA_TYPES: Mapping[str, str] = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/x-ndjson",
    "coco": "application/json",
}
"""Content type of each form of a result."""

_FINISHED = frozenset({"done", "failed", "cancelled"})
_ZIP_TYPES = frozenset({b"application/zip", b"application/x-zip-compressed"})
_ID = re.compile(r"[0-9a-f]{32}")
_OPTIONS = frozenset({"task", "top_k", "threshold"})
_JOB, _IMAGES, _RESULTS, _LOCK, _CANCEL = "job.json", "images.zip", "results.jsonl", "lock", "cancel"
_NEW, _GONE = ".new-", ".gone-"
_SAVE_S = 0.5
_CLEAN_S = 3600.0
_LOOK_S = 2.0
"""Seconds between looks for jobs that another worker accepted or left behind."""
_BACK_OFF_S = 0.2
_ATTEMPTS = 5
"""How often an image is asked about that gets no answer in time."""
_MAX_TEXT = 4096
_MAX_HEADER = 8192
_CHUNK = 1 << 20
_ENCRYPTED = 0x1
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""The other methods let an archive choose how much memory unpacking takes."""
_DIRECTORY_BYTES = 512
"""Bytes of a zip's directory read for each image allowed, so that a directory cannot fill the memory."""
_ZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, RuntimeError, NotImplementedError, ValueError,
)  # fmt: skip

_T = TypeVar("_T")


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
    error: str | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.status in _FINISHED

    def answer(self) -> dict[str, Any]:
        """As the API tells it."""
        left = self.total - self.done
        running = self.status == "running" and self.images_per_s
        told = self.model_dump(exclude={"every_member", "boxes", "top_k", "threshold"})
        return {
            **told,
            "eta_s": round(left / self.images_per_s, 1) if running and self.images_per_s else None,
            "url": f"/v1/batches/{self.id}",
        }


class BatchJobs:
    """The batch jobs of a state folder, and the threads of this worker that work on them."""

    def __init__(self, settings: ServingSettings, state: Path, models: Callable[[], Mapping[str, LiveModel]]) -> None:
        """Prepare; nothing runs before `start`.

        Args:
            settings: Limits of the service.
            state: Folder of what the service writes.
            models: Gives the model that answers for each task now.
        """
        self._settings = settings
        self._limits: BatchJobSettings = settings.batches
        self._root = state / settings.batches.folder
        self._models = models
        self._finished: set[str] = set()
        self._cleaned = -_CLEAN_S
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._threads: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to work, on jobs left behind too; may be called twice.

        Args:
            loop: The event loop of the models' queues.
        """
        if self._threads or self._stop.is_set():
            return
        self._loop = loop
        for number in range(self._limits.max_running):
            thread = threading.Thread(target=self._work, name=f"batches-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Leave running jobs to others, whole rows written; may be called twice."""
        self._stop.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(timeout=5)

    # -- what the API asks

    async def submit(self, request: Request) -> JobState:
        """Take the images of a request and queue the job.

        Raises:
            Problem: the request is refused; nothing of it is kept.
            ClientDisconnect: the client left; neither is anything.
        """
        media_type, parameters = parse_options_header(request.headers.get("content-type"))
        if media_type not in _ZIP_TYPES | {b"multipart/form-data"}:
            raise _unsupported(media_type.decode("latin-1"))
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and float(declared) > self._limits.max_archive_mb * 1e6:
            raise _body_too_large(self._limits)
        every = media_type == b"multipart/form-data"
        query = dict(request.query_params)
        if not every or "task" in query:
            self._wanted(query)
        await asyncio.to_thread(self._require_room)
        id_ = uuid.uuid4().hex
        folder = self._root / f"{_NEW}{id_}"
        try:
            folder.mkdir(parents=True)
            path = folder / _IMAGES
            body = _FormBody(path, parameters.get(b"boundary", b""), self._settings) if every else _ZipBody(path)
            with contextlib.closing(body):
                await self._receive(request, body)
            task, options = self._wanted({**query, **body.options})
            job = JobState(id=id_, task=task, total=0, every_member=every, created_at=time.time(), **options)
            return await asyncio.to_thread(self._accept, folder, job)
        except OSError as error:
            raise _no_room_on_disk(error) from None
        finally:
            # After `_accept` the folder has its final name.
            shutil.rmtree(folder, ignore_errors=True)

    def state(self, id_: str) -> JobState:
        """How a job stands.

        Raises:
            Problem: 404.
        """
        state = self._read(id_) if _ID.fullmatch(id_) else None
        if state is None:
            raise _unknown(id_)
        if not state.finished and (self._root / id_ / _CANCEL).exists():
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
        folder = self._root / id_
        try:
            (folder / _CANCEL).touch()
        except FileNotFoundError:
            raise _unknown(id_) from None
        with _held(folder) as held:
            state = self._read(id_)
            if held and state is not None:
                if state.finished:
                    self._remove(folder)
                    return None
                self._finish(folder, state, "cancelled")
        return self.state(id_)

    def result(self, id_: str, form: str) -> Iterator[bytes]:
        """The result in pieces.

        Raises:
            Problem: 404; 400 for another form, or COCO where the model finds no boxes; 409 while it is not done.
        """
        if form not in get_args(ResultForm):
            raise _bad_option("form", form, "csv, json or coco")
        state = self.state(id_)
        if state.status != "done":
            raise _not_done(state)
        if form == "coco" and state.boxes is False:
            raise _bad_option("form", form, "csv or json: the answers of this batch have no boxes")
        try:
            # Opened here, so that a removal after this point takes nothing away.
            file = (self._root / id_ / _RESULTS).open("rb")
        except FileNotFoundError:
            raise _unknown(id_) from None
        return _WRITERS[form](_rows(file), state)

    # -- taking a job

    def _wanted(self, values: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
        """Task and options."""
        unknown = sorted(values.keys() - _OPTIONS)
        if unknown:
            raise _bad_option(unknown[0], values[unknown[0]], "one of " + ", ".join(sorted(_OPTIONS)))
        options = parse_options({}, {name: value for name, value in values.items() if name != "task"})
        served = sorted(self._models())
        if not served:
            raise _nothing_serves()
        task = values.get("task") or (served[0] if len(served) == 1 else "")
        if task not in served:
            raise _bad_option("task", task, near_matches(task, served))
        return task, {"top_k": options.top_k, "threshold": options.threshold}

    def _require_room(self) -> None:
        arriving = len(list(self._root.glob(f"{_NEW}*")))
        waiting = sum(state.status == "waiting" for state in self._unfinished())
        if arriving + waiting >= self._limits.max_waiting:
            raise Problem(
                503,
                "too_many_batches",
                f"{arriving + waiting} batches are waiting already",
                where="batches",
                expected=f"at most {self._limits.max_waiting} waiting",
                action="try again after the seconds in Retry-After",
                retry_after=60.0,
            )

    async def _receive(self, request: Request, body: _Body) -> None:
        seconds, num_received = self._limits.body_timeout_s, 0
        try:
            async with asyncio.timeout(seconds), aclosing(request.stream()) as stream:
                async for chunk in stream:
                    num_received += len(chunk)
                    if num_received > self._limits.max_archive_mb * 1e6:
                        raise _body_too_large(self._limits)
                    await asyncio.to_thread(body.feed, chunk)
                await asyncio.to_thread(body.finish)
        except TimeoutError:
            raise Problem(
                408,
                "body_timeout",
                f"the body did not arrive within {seconds:g} s",
                where="request body",
                expected=f"the whole body within {seconds:g} s",
                action="send fewer images in a batch, or over a faster connection",
            ) from None

    def _accept(self, folder: Path, job: JobState) -> JobState:
        with _Archive(folder / _IMAGES, job.every_member, self._settings) as archive:
            archive.require_accepted()
            job = job.model_copy(update={"total": len(archive.images), "skipped": archive.num_skipped})
        _save(folder, job)
        folder.rename(self._root / job.id)
        self._wake.set()
        return job

    # -- the folder

    def _read(self, id_: str) -> JobState | None:
        try:
            return JobState.model_validate(files.read_json(self._root / id_ / _JOB))
        except (DataError, ValidationError):
            return None

    def _unfinished(self) -> list[JobState]:
        """Oldest first."""
        found = []
        for id_ in self._ids() - self._finished:
            state = self._read(id_)
            if state is not None and state.finished:
                self._finished.add(id_)
            elif state is not None:
                found.append(state)
        return sorted(found, key=lambda state: (state.created_at, state.id))

    def _ids(self) -> set[str]:
        try:
            return {path.name for path in self._root.iterdir() if _ID.fullmatch(path.name)}
        except FileNotFoundError:
            return set()

    def _finish(self, folder: Path, state: JobState, status: Status, error: str | None = None) -> None:
        update = {"status": status, "finished_at": time.time(), "error": error}
        _save(folder, state.model_copy(update=update))
        (folder / _IMAGES).unlink(missing_ok=True)
        if status != "done":
            (folder / _RESULTS).unlink(missing_ok=True)

    def _remove(self, folder: Path) -> None:
        gone = folder.with_name(_GONE + folder.name)
        with contextlib.suppress(OSError):  # another worker was faster
            folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def _clean(self) -> None:
        """Remove old jobs and what broken-off requests left."""
        if time.monotonic() - self._cleaned < _CLEAN_S or not self._root.is_dir():
            return
        self._cleaned = time.monotonic()
        now = time.time()
        for id_ in self._ids():
            state = self._read(id_)
            if state is not None and now - (state.finished_at or now) > 3600 * self._limits.keep_hours:
                self._remove(self._root / id_)
        for folder in self._root.iterdir():
            left = folder.name.startswith((_NEW, _GONE)) or not (folder / _JOB).exists()
            with contextlib.suppress(OSError):
                if left and now - folder.stat().st_mtime > self._limits.body_timeout_s + _CLEAN_S:
                    shutil.rmtree(folder, ignore_errors=True)
        self._finished &= self._ids()

    # -- working

    def _work(self) -> None:
        while not self._stop.is_set() and self._loop is not None and not self._loop.is_closed():
            self._wake.clear()
            try:
                self._clean()
                if self._work_on_one():
                    continue
            except Exception:
                # The thread must outlive whatever a strange folder does to it.
                _log.exception("batch jobs could not be worked on")
            self._wake.wait(_LOOK_S)

    def _work_on_one(self) -> bool:
        for state in self._unfinished():
            if state.task not in self._models():
                continue
            folder = self._root / state.id
            with _held(folder) as held:
                # Another worker may have finished it since the look.
                current = self._read(state.id) if held else None
                if current is None or current.finished:
                    continue
                self._run(folder, current)
                return True
        return False

    def _run(self, folder: Path, state: JobState) -> None:
        progress = _Progress(folder, state)
        try:
            with (
                _Archive(folder / _IMAGES, state.every_member, self._settings) as archive,
                _open_results(folder / _RESULTS, progress) as results,
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
            _save(folder, progress.state("waiting"))
        except _CancelledError:
            self._finish(folder, progress.state("cancelled"), "cancelled")
        except Problem as problem:
            self._finish(folder, progress.state("failed"), "failed", problem.what)
        except Exception as error:
            _log.exception("batch %s failed", state.id)
            what = error.strerror if isinstance(error, OSError) else None
            self._finish(folder, progress.state("failed"), "failed", what or "an error of ours; see the service's log")
        else:
            self._finish(folder, progress.state("done"), "done")

    def _check(self, folder: Path) -> None:
        if self._stop.is_set():
            raise _StoppedError
        if (folder / _CANCEL).exists():
            raise _CancelledError

    def _rows(
        self, folder: Path, state: JobState, archive: _Archive, group: Sequence[zipfile.ZipInfo], first: int
    ) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        jobs, targets = [], []
        for index, member in enumerate(group, first):
            row: dict[str, Any] = {"index": index, "image": member.filename}
            rows.append(row)
            try:
                jobs.append(Job(archive.read(member), member.filename))
                targets.append(row)
            except Problem as problem:
                row["error"] = _told(problem)
        for row, answer in zip(targets, self._ask(folder, state.task, jobs), strict=True):
            row.update(answer.row(state) if isinstance(answer, _Told) else {"error": _told(answer)})
        return rows

    def _ask(self, folder: Path, task: str, jobs: Sequence[Job]) -> list[_Told | Problem]:
        """Answers in order; waits as long as the service is busy with others."""
        answers: dict[int, _Told | Problem] = {}
        attempts = 0
        while left := [index for index in range(len(jobs)) if index not in answers]:
            self._check(folder)
            live = self._models().get(task)
            if live is None:
                raise _StoppedError
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
        assert self._loop is not None
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
    answer: Answer

    def row(self, state: JobState) -> dict[str, Any]:
        height, width = self.answer.image.shape[:2]
        classes = self.live.predictor.classes
        record = self.answer.prediction.to_record(classes, top_k=state.top_k, threshold=state.threshold)
        model = f"{self.live.variant.model} {self.live.variant.version}"
        metrics.IMAGES.labels(state.task, self.live.variant.version, self.live.role).inc()
        return {"width": width, "height": height, "model": model, **record}


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
        return _Told(live, outcome[0].value)
    if isinstance(outcome, ImageError):
        return image_problem(outcome)
    if isinstance(outcome, Problem):
        return outcome
    _log.error("an image of a batch got no answer", exc_info=outcome)
    return _image_problem("internal", "an error of ours", "", "report it with the service's log")


def _told(problem: Problem) -> dict[str, str]:
    return {"code": problem.code, "detail": problem.what}


def _save(folder: Path, state: JobState) -> None:
    files.write_json(folder / _JOB, state.model_dump(mode="json"))


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[bool]:
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


class _Progress:
    """Counts, written to `job.json` now and then."""

    def __init__(self, folder: Path, state: JobState) -> None:
        self._folder = folder
        self._state = state
        self._models: set[str] = set()
        self._boxes: bool | None = None
        self._failures = 0
        self._began = self._saved = time.monotonic()
        self._done_before = 0
        self.done = 0

    def count(self, row: Mapping[str, Any]) -> None:
        """One row that is whole."""
        self.done += 1
        if "error" in row:
            self._failures += 1
            return
        self._models.add(row["model"])
        for entry in _entries(row):
            self._boxes = bool(self._boxes) or "box_xyxy" in entry

    def begin(self) -> None:
        """The rows found were counted; from here on speed is measured."""
        self._done_before = self.done
        self._state = self._state.model_copy(update={"started_at": self._state.started_at or time.time()})
        self._save()

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows that were written just now."""
        for row in rows:
            self.count(row)
        if time.monotonic() - self._saved >= _SAVE_S:
            self._save()

    def state(self, status: Status) -> JobState:
        """As it stands."""
        seconds = time.monotonic() - self._began
        return self._state.model_copy(
            update={
                "status": status,
                "done": self.done,
                "failures": self._failures,
                "models": tuple(sorted(self._models)),
                "boxes": self._boxes,
                "images_per_s": round((self.done - self._done_before) / seconds, 2) if seconds else None,
            }
        )

    def _save(self) -> None:
        self._saved = time.monotonic()
        _save(self._folder, self.state("running"))


def _open_results(path: Path, progress: _Progress) -> IO[bytes]:
    """The file of rows, at its end; a last row that is not whole is cut off."""
    file = path.open("a+b")
    try:
        file.seek(0)
        whole = 0
        for line in file:
            try:
                row = orjson.loads(line) if line.endswith(b"\n") else None
            except orjson.JSONDecodeError:
                row = None
            if row is None:
                break
            progress.count(row)
            whole += len(line)
        file.truncate(whole)
        file.seek(whole)
    except BaseException:
        file.close()
        raise
    return file


# -- archives


class _BoundedReader(io.BufferedReader):
    """A file of which no more than so much is read at once."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        super().__init__(io.FileIO(path))
        self._max_bytes = max_bytes

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self._max_bytes:
            raise zipfile.BadZipFile("its directory is too large")
        return super().read(size)


class _Archive:
    """The images of a zip. Names are text only: nothing is unpacked to disk.

    Attributes:
        images: Members to ask about, in the archive's order.
        num_skipped: Other files.
    """

    def __init__(self, path: Path, every_member: bool, settings: ServingSettings) -> None:
        self._settings = settings
        limit = max(_CHUNK, _DIRECTORY_BYTES * settings.batches.max_images)
        self._file = _BoundedReader(path, limit)
        try:
            self._zip = zipfile.ZipFile(self._file)
        except _ZIP_ERRORS as error:
            self._file.close()
            raise _bad_archive(error) from None
        members = [info for info in self._zip.infolist() if every_member or not _is_clutter(info)]
        self.images = [info for info in members if every_member or info.filename.lower().endswith(SUFFIXES)]
        self.num_skipped = len(members) - len(self.images)

    def __enter__(self) -> _Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()
        self._file.close()

    @property
    def _max_image(self) -> int:
        return int(self._settings.upload.max_image_mb * 1e6)

    def require_accepted(self) -> None:
        """Check the whole.

        `zipfile` never gives more of a member than its declared size, so that the sum of those is what can be read.

        Raises:
            Problem: no images, too many, or too much to unpack.
        """
        limits = self._settings.batches
        if not self.images:
            raise Problem(
                400,
                "missing_image",
                f"the archive has no image ({self.num_skipped} other files)",
                where="request body",
                expected="files ending in " + ", ".join(SUFFIXES),
                action="pack the images themselves; archives inside the archive are not opened",
            )
        if len(self.images) > limits.max_images:
            raise _too_many_images(limits)
        unpacked = sum(info.file_size for info in self.images if info.file_size <= self._max_image)
        if unpacked > limits.max_unpacked_mb * 1e6:
            raise Problem(
                413,
                "archive_too_large",
                f"the archive unpacks to more than {limits.max_unpacked_mb:g} MB",
                where="request body",
                expected=f"at most {limits.max_unpacked_mb:g} MB of images (1 MB is 10**6 bytes)",
                action="spread the images over several batches",
            )

    def read(self, info: zipfile.ZipInfo) -> bytes:
        """A member's bytes.

        Raises:
            Problem: too large, encrypted, packed by another method, or damaged.
        """
        name = info.filename
        if info.flag_bits & _ENCRYPTED:
            raise _image_problem("image_encrypted", "the file is encrypted", name, "pack it without a password")
        if info.compress_type not in _METHODS:
            raise _image_problem("image_compression", "the file is packed by another method", name, "use deflate")
        if info.file_size > self._max_image:
            megabytes = self._settings.upload.max_image_mb
            raise _image_problem("image_too_large", f"the file is larger than {megabytes:g} MB", name, "scale it down")
        data = bytearray()
        try:
            with self._zip.open(info) as member:
                while chunk := member.read(_CHUNK):
                    data += chunk
        except _ZIP_ERRORS:
            raise _image_problem("image_damaged", "the archive is damaged here", name, "pack it anew") from None
        return bytes(data)


def _is_clutter(info: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(info.filename).parts
    if info.is_dir() or "__MACOSX" in parts:
        return True
    # Leading out is not hiding: such a name is only odd text here.
    return any(part.startswith(".") and part not in (".", "..") for part in parts)


# -- bodies


class _Body(Protocol):
    options: dict[str, str]

    def feed(self, chunk: bytes) -> None: ...
    def finish(self) -> None: ...
    def close(self) -> None: ...


class _ZipBody:
    """A body that is the archive."""

    def __init__(self, path: Path) -> None:
        self.options: dict[str, str] = {}
        self._file = path.open("wb")

    def feed(self, chunk: bytes) -> None:
        self._file.write(chunk)

    def finish(self) -> None:
        self._file.close()

    def close(self) -> None:
        self._file.close()


class _FormBody:
    """A form, whose files are put into an archive as they arrive."""

    def __init__(self, path: Path, boundary: bytes, settings: ServingSettings) -> None:
        if not 1 <= len(boundary) <= 70:
            raise _malformed("the Content-Type names no boundary of 1 to 70 characters")
        self.options: dict[str, str] = {}
        self._settings = settings
        self._zip = zipfile.ZipFile(path, "w")
        self._member: IO[bytes] | None = None
        self._text = bytearray()
        self._field = ""
        self._num_files = self._num_bytes = self._num_header = 0
        self._header_name, self._header_value = bytearray(), bytearray()
        self._disposition = b""
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._add_name,
                "on_header_value": self._add_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._add_data,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
            max_header_size=_MAX_HEADER,
        )

    def feed(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except MultipartParseError as error:
            raise _malformed(f"the form cannot be parsed ({error})") from None

    def finish(self) -> None:
        if not self._ended:
            raise _malformed("the form stops before its closing boundary")
        self._zip.close()

    def close(self) -> None:
        if self._member is not None:
            self._member.close()
        self._zip.close()

    def _begin(self) -> None:
        self._disposition, self._num_header, self._num_bytes = b"", 0, 0
        self._text.clear()

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _end_headers(self) -> None:
        kind, parameters = parse_options_header(self._disposition)
        if kind != b"form-data" or b"name" not in parameters:
            raise _malformed('a part has no Content-Disposition: form-data; name="..."')
        self._field = parameters[b"name"].decode("utf-8", "replace")
        allowed = FILE_FIELDS if b"filename" in parameters else tuple(_OPTIONS)
        if self._field not in allowed:
            raise Problem(
                400,
                "unexpected_field",
                f"the form has an unknown field {self._field[:64]!r}",
                where="request body",
                expected="files in the field image, text in " + ", ".join(sorted(_OPTIONS)),
                action="correct the field's name or leave it out",
            )
        if b"filename" in parameters:
            self._begin_file(parameters[b"filename"].decode("utf-8", "replace"))

    def _begin_file(self, name: str) -> None:
        self._num_files += 1
        if self._num_files > self._settings.batches.max_images:
            raise _too_many_images(self._settings.batches)
        # A name ending in a slash would be a folder's.
        named = name.rstrip("/") or f"image {self._num_files}"
        self._member = self._zip.open(zipfile.ZipInfo(named), "w")

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._num_bytes += end - start
        if self._member is None:
            if self._num_bytes > _MAX_TEXT:
                raise _bad_option(self._field, "...", f"at most {_MAX_TEXT} bytes")
            self._text += data[start:end]
            return
        megabytes = self._settings.upload.max_image_mb
        if self._num_bytes > megabytes * 1e6:
            raise Problem(
                413,
                "image_too_large",
                f"the file is larger than {megabytes:g} MB",
                where=f"image {self._num_files}",
                expected=f"at most {megabytes:g} MB per image (1 MB is 10**6 bytes)",
                action="scale the image down or compress it more",
            )
        self._member.write(memoryview(data)[start:end])

    def _end_part(self) -> None:
        if self._member is None:
            self.options[self._field] = self._text.decode("utf-8", "replace")
        else:
            self._member.close()
            self._member = None

    def _end(self) -> None:
        self._ended = True


# -- results


def _rows(file: IO[bytes]) -> Iterator[dict[str, Any]]:
    with file:
        for line in file:
            yield orjson.loads(line)


def _entries(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The predictions of one image: the answer itself where it names a class, else the list in it."""
    if "class" in row:
        return [row]
    return next((value for value in row.values() if isinstance(value, list)), [])


def _as_csv(rows: Iterator[dict[str, Any]], state: JobState) -> Iterator[bytes]:
    sides = ["x_min", "y_min", "x_max", "y_max"] if state.boxes else []
    yield _csv_lines([["image", "class", "score", *sides, "error"]])
    for row in rows:
        image, error = _safe(row["image"]), row.get("error", {}).get("code", "")
        lines = [
            [image, _safe(entry["class"]), entry["score"], *(entry.get("box_xyxy", [""] * 4) if sides else []), ""]
            for entry in _entries(row)
        ]
        yield _csv_lines(lines or [[image, "", "", *[""] * len(sides), error]])


def _csv_lines(lines: Sequence[Sequence[object]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(lines)
    return buffer.getvalue().encode()


def _safe(text: str) -> str:
    """Text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _as_json(rows: Iterator[dict[str, Any]], _: JobState) -> Iterator[bytes]:
    for row in rows:
        yield orjson.dumps(row) + b"\n"


def _as_coco(rows: Iterator[dict[str, Any]], _: JobState) -> Iterator[bytes]:
    before = b"["
    for row in rows:
        for entry in _entries(row):
            x_min, y_min, x_max, y_max = entry["box_xyxy"]
            found = {
                "image_id": row["index"],
                "file_name": row["image"],
                "category_id": entry["class_id"],
                "category_name": entry["class"],
                "bbox": [x_min, y_min, round(x_max - x_min, 2), round(y_max - y_min, 2)],
                "score": entry["score"],
            }
            yield before + orjson.dumps(found)
            before = b",\n"
    yield b"[]" if before == b"[" else b"]"


_WRITERS: Mapping[str, Callable[[Iterator[dict[str, Any]], JobState], Iterator[bytes]]] = {
    "csv": _as_csv,
    "json": _as_json,
    "coco": _as_coco,
}


# -- refusals


def _unsupported(shown: str) -> Problem:
    return Problem(
        415,
        "unsupported_media_type",
        f"the body is {shown[:64]!r}" if shown else "the request has no Content-Type",
        where="header Content-Type",
        expected="application/zip, or multipart/form-data with files in the field image",
        action="send a zip archive of the images as one of these",
    )


def _body_too_large(limits: BatchJobSettings) -> Problem:
    return Problem(
        413,
        "body_too_large",
        f"the body is larger than {limits.max_archive_mb:g} MB",
        where="request body",
        expected=f"at most {limits.max_archive_mb:g} MB per batch (1 MB is 10**6 bytes)",
        action="spread the images over several batches",
    )


def _too_many_images(limits: BatchJobSettings) -> Problem:
    return Problem(
        413,
        "too_many_images",
        f"there are more than {limits.max_images:,} images",
        where="request body",
        expected=f"at most {limits.max_images:,} images per batch",
        action="spread the images over several batches",
    )


def _bad_archive(error: BaseException) -> Problem:
    return Problem(
        400,
        "bad_archive",
        f"the body is not a zip archive that can be read ({error})"[:300],
        where="request body",
        expected="a whole zip archive",
        action="pack the images anew",
    )


def _image_problem(code: str, what: str, name: str, action: str) -> Problem:
    return Problem(422, code, what, where=name, expected="an image that can be read", action=action)


def _malformed(what: str) -> Problem:
    return Problem(
        400,
        "malformed_multipart",
        what,
        where="request body",
        expected="a complete multipart/form-data body (RFC 7578) with the boundary its Content-Type names",
        action="let an HTTP client build the form, and set no Content-Type by hand",
    )


def _bad_option(name: str, value: str, expected: str) -> Problem:
    return Problem(
        400,
        "bad_option",
        f"{name}={value!r:.80} is not accepted" if value else f"the option {name} is missing",
        where=f"option {name:.80}",
        expected=expected,
        action="correct the option",
    )


def _nothing_serves() -> Problem:
    return Problem(
        503,
        "not_deployed",
        "no model serves",
        where="deployment",
        expected="a deployed champion",
        action="promote a model: visionloop promote MODEL, or visionloop deploy MODEL",
        retry_after=5.0,
    )


def _no_room_on_disk(error: OSError) -> Problem:
    _log.error("a batch cannot be kept: %s", error)
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return Problem(
        507 if full else 503,
        "no_space" if full else "state_unavailable",
        "the service cannot keep the images",
        where="state folder",
        expected="a folder with room, which the service may write",
        action="ask the operator, or try again later",
        retry_after=60.0,
    )


def _unknown(id_: str) -> Problem:
    return Problem(
        404,
        "unknown_batch",
        f"there is no batch {id_[:64]!r}",
        where="batch id",
        expected="the id of a batch of this service",
        action="correct the id; batches are kept for a limited time",
    )


def _not_done(state: JobState) -> Problem:
    actions = {"failed": f"send the images again; it failed: {state.error}", "cancelled": "send the images again"}
    return Problem(
        409,
        "batch_not_done",
        f"the batch is {state.status}, {state.done} of {state.total} images",
        where="batch id",
        expected="a batch that is done",
        action=actions.get(state.status, "ask again later"),
        retry_after=None if state.finished else 1.0,
    )
