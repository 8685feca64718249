"""Taking a job: a request is checked, its images are received, and its folder gets its final name."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from visionloop.core.errors import near_matches
from visionloop.serving.batches.archive import Archive
from visionloop.serving.batches.bodies import OPTIONS, Body, FormBody, ZipBody
from visionloop.serving.batches.refusals import no_room_on_disk, too_large, too_many_batches
from visionloop.serving.batches.state import IMAGES, NEW, JobFolders, JobState, save
from visionloop.serving.caller import caller_of
from visionloop.serving.models import Fleet
from visionloop.serving.options import parse_options
from visionloop.serving.refusals import bad_option, body_too_slow, unsupported_media_type
from visionloop.serving.settings import ServingSettings

_ACCEPTED = "application/zip, or multipart/form-data with files in the field image"
_PACK = "send a zip archive of the images as one of these"
_ZIP_TYPES = frozenset({b"application/zip", b"application/x-zip-compressed"})


class Intake:
    """Takes jobs from requests."""

    def __init__(
        self,
        settings: ServingSettings,
        folders: JobFolders,
        fleet: Fleet,
        wake: threading.Event,
    ) -> None:
        """Prepare.

        Args:
            settings: Limits of the service.
            folders: Where jobs lie.
            fleet: The models.
            wake: Set when a job was queued.
        """
        self._settings = settings
        self._limits = settings.batches
        self._folders = folders
        self._fleet = fleet
        self._wake = wake

    async def take(self, request: Request) -> JobState:
        """Take the images of a request and queue the job.

        Raises:
            Problem: the request is refused; nothing of it is kept.
            ClientDisconnect: the client left; neither is anything.
        """
        media_type, parameters = parse_options_header(request.headers.get("content-type"))
        if media_type not in _ZIP_TYPES | {b"multipart/form-data"}:
            raise unsupported_media_type(media_type.decode("latin-1"), _ACCEPTED, _PACK)
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and float(declared) > self._limits.max_archive_mb * 1e6:
            raise too_large(self._limits)
        every = media_type == b"multipart/form-data"
        query = dict(request.query_params)
        if not every or "task" in query:
            self._wanted(query)
        await asyncio.to_thread(self._require_room)
        id_ = uuid.uuid4().hex
        folder = self._folders.root / f"{NEW}{id_}"
        try:
            folder.mkdir(parents=True)
            path = folder / IMAGES
            body = FormBody(path, parameters.get(b"boundary", b""), self._settings) if every else ZipBody(path)
            with contextlib.closing(body):
                await self._receive(request, body)
            task, options = self._wanted({**query, **body.options})
            job = JobState(
                id=id_,
                task=task,
                total=0,
                every_member=every,
                created_at=time.time(),
                **caller_of(request)._asdict(),
                **options,
            )
            return await asyncio.to_thread(self._accept, folder, job)
        except OSError as error:
            raise no_room_on_disk(error) from None
        finally:
            # After `_accept` the folder has its final name.
            shutil.rmtree(folder, ignore_errors=True)

    def _wanted(self, values: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
        """Task and options."""
        unknown = sorted(values.keys() - OPTIONS)
        if unknown:
            raise bad_option(unknown[0], f"there is no option {unknown[0]!r:.80}", near_matches(unknown[0], OPTIONS))
        options = parse_options({}, {name: value for name, value in values.items() if name != "task"})
        task = self._fleet.deployed_task(values.get("task"))
        return task, options.model_dump()

    def _require_room(self) -> None:
        arriving = len(list(self._folders.root.glob(f"{NEW}*")))
        waiting = sum(state.status == "waiting" for state in self._folders.unfinished())
        if arriving + waiting >= self._limits.max_waiting:
            raise too_many_batches(arriving + waiting, self._limits)

    async def _receive(self, request: Request, body: Body) -> None:
        seconds, num_received = self._limits.body_timeout_s, 0
        try:
            async with asyncio.timeout(seconds), aclosing(request.stream()) as stream:
                async for chunk in stream:
                    num_received += len(chunk)
                    if num_received > self._limits.max_archive_mb * 1e6:
                        raise too_large(self._limits)
                    await asyncio.to_thread(body.feed, chunk)
                await asyncio.to_thread(body.finish)
        except TimeoutError:
            raise body_too_slow(seconds, "send fewer images in a batch, or over a faster connection") from None

    def _accept(self, folder: Path, job: JobState) -> JobState:
        with Archive(folder / IMAGES, job.every_member, self._settings) as archive:
            archive.require_accepted()
            job = job.model_copy(update={"total": len(archive.images), "skipped": archive.num_skipped})
        save(folder, job)
        folder.rename(self._folders.root / job.id)
        self._wake.set()
        return job
