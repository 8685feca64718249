"""What only a batch is refused with."""

from __future__ import annotations

import errno
import logging

from visionloop.serving.batches.state import JobState
from visionloop.serving.problems import Problem
from visionloop.serving.refusals import body_too_large, too_many_images
from visionloop.serving.settings import BatchJobSettings

_log = logging.getLogger(__name__)

_SPREAD = "spread the images over several batches"


def too_many(limits: BatchJobSettings) -> Problem:
    """413, for an archive's or a form's number of images."""
    return too_many_images(
        f"there are more than {limits.max_images:,} images",
        f"at most {limits.max_images:,} images per batch",
        _SPREAD,
        status=413,
    )


def too_large(limits: BatchJobSettings) -> Problem:
    """413, for the whole body."""
    return body_too_large(limits.max_archive_mb * 1e6, "batch", _SPREAD)


def unpacks_too_large(limits: BatchJobSettings) -> Problem:
    """413, for an archive's images together."""
    return Problem(
        413,
        "archive_too_large",
        f"the archive unpacks to more than {limits.max_unpacked_mb:g} MB",
        where="request body",
        expected=f"at most {limits.max_unpacked_mb:g} MB of images (1 MB is 10**6 bytes)",
        action=_SPREAD,
    )


def bad_archive(error: BaseException) -> Problem:
    """400, for an archive that does not open."""
    return Problem(
        400,
        "bad_archive",
        f"the body is not a zip archive that can be read ({error})"[:300],
        where="request body",
        expected="a whole zip archive",
        action="pack the images anew",
    )


def unreadable_image(code: str, what: str, name: str, action: str) -> Problem:
    """422, for one image; it becomes the error of its row."""
    return Problem(422, code, what, where=name, expected="an image that can be read", action=action)


def too_many_batches(num_waiting: int, limits: BatchJobSettings) -> Problem:
    """503, while enough wait."""
    return Problem(
        503,
        "too_many_batches",
        f"{num_waiting} batches are waiting already",
        where="batches",
        expected=f"at most {limits.max_waiting} waiting",
        action="try again after the seconds in Retry-After",
        retry_after=60.0,
    )


def no_room_on_disk(error: OSError) -> Problem:
    """507 for a full disk, else 503; the log says why."""
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


def unknown(id_: str) -> Problem:
    """404."""
    return Problem(
        404,
        "unknown_batch",
        f"there is no batch {id_[:64]!r}",
        where="batch id",
        expected="the id of a batch of this service",
        action="correct the id; batches are kept for a limited time",
    )


def not_done(state: JobState) -> Problem:
    """409, for a result that is not there, or never will be."""
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
