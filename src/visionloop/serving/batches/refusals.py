"""What a batch is refused with."""

from __future__ import annotations

import errno
import logging

from visionloop.serving.batches.state import JobState
from visionloop.serving.problems import Problem
from visionloop.serving.settings import BatchJobSettings

_log = logging.getLogger(__name__)


def unsupported(shown: str) -> Problem:
    """415, for a body that is neither a zip nor a form; `shown` is its media type."""
    return Problem(
        415,
        "unsupported_media_type",
        f"the body is {shown[:64]!r}" if shown else "the request has no Content-Type",
        where="header Content-Type",
        expected="application/zip, or multipart/form-data with files in the field image",
        action="send a zip archive of the images as one of these",
    )


def body_too_large(limits: BatchJobSettings) -> Problem:
    """413, for the whole body."""
    return Problem(
        413,
        "body_too_large",
        f"the body is larger than {limits.max_archive_mb:g} MB",
        where="request body",
        expected=f"at most {limits.max_archive_mb:g} MB per batch (1 MB is 10**6 bytes)",
        action="spread the images over several batches",
    )


def too_many_images(limits: BatchJobSettings) -> Problem:
    """413, for an archive's or a form's number of images."""
    return Problem(
        413,
        "too_many_images",
        f"there are more than {limits.max_images:,} images",
        where="request body",
        expected=f"at most {limits.max_images:,} images per batch",
        action="spread the images over several batches",
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


def malformed(what: str) -> Problem:
    """400, for a form that is none."""
    return Problem(
        400,
        "malformed_multipart",
        what,
        where="request body",
        expected="a complete multipart/form-data body (RFC 7578) with the boundary its Content-Type names",
        action="let an HTTP client build the form, and set no Content-Type by hand",
    )


def bad_option(name: str, value: str, expected: str) -> Problem:
    """400, for an option that is wrong or, where `value` is empty, missing."""
    return Problem(
        400,
        "bad_option",
        f"{name}={value!r:.80} is not accepted" if value else f"the option {name} is missing",
        where=f"option {name:.80}",
        expected=expected,
        action="correct the option",
    )


def nothing_serves() -> Problem:
    """503, while no task has a model."""
    return Problem(
        503,
        "not_deployed",
        "no model serves",
        where="deployment",
        expected="a deployed champion",
        action="promote a model: visionloop promote MODEL, or visionloop deploy MODEL",
        retry_after=5.0,
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
