"""What requests are refused with on more than one route: one constructor for each code, so that all say it alike.

What a single route refuses is made at the end of its own module.
"""

from __future__ import annotations

from collections.abc import Mapping

from visionloop.serving.problems import Problem

# -- the body


def unsupported_media_type(media_type: str, expected: str, action: str) -> Problem:
    """415, for a body of another kind than the route takes."""
    return Problem(
        415,
        "unsupported_media_type",
        f"the body is {quoted(media_type)}" if media_type else "the request has no Content-Type",
        where="header Content-Type",
        expected=expected,
        action=action,
    )


def body_too_large(num_bytes: float, per: str, action: str) -> Problem:
    """413, for a whole body of more than `num_bytes`; `per` is what has one, such as `request`."""
    limit = f"{num_bytes / 1e6:g} MB" if num_bytes >= 1e6 else f"{num_bytes / 1024:g} KiB"
    return Problem(
        413,
        "body_too_large",
        f"the body is larger than {limit}",
        where="request body",
        expected=f"at most {limit} per {per} (1 MB is 10**6 bytes, 1 KiB 1024)",
        action=action,
    )


def body_too_slow(seconds: float, action: str) -> Problem:
    """408."""
    return Problem(
        408,
        "body_timeout",
        f"the body did not arrive within {seconds:g} s",
        where="request body",
        expected=f"the whole body within {seconds:g} s",
        action=action,
    )


def malformed_form(what: str, where: str = "request body") -> Problem:
    """400, for a form that is broken or cut off."""
    return Problem(
        400,
        "malformed_multipart",
        what,
        where=where,
        expected="a complete multipart/form-data body (RFC 7578) with the boundary its Content-Type names",
        action="let an HTTP client build the form, and set no Content-Type by hand",
    )


def unexpected_field(what: str, expected: str, where: str = "request body") -> Problem:
    """400, for a part of a form that does not belong there."""
    return Problem(
        400,
        "unexpected_field",
        what,
        where=where,
        expected=expected,
        action="correct the field's name or leave it out",
    )


def text_too_long(field: str, max_bytes: int) -> Problem:
    """400, for a text field of a form."""
    return Problem(
        400,
        "text_too_long",
        f"the value of {quoted(field)} is longer than {max_bytes:,} bytes",
        where=f"field {field:.80}",
        expected=f"at most {max_bytes:,} bytes",
        action="send a shorter value",
    )


def bad_option(name: str, what: str, expected: str, action: str = "correct the option, or leave it out") -> Problem:
    """400, for an option that is unknown, missing or out of range."""
    return Problem(
        400,
        "bad_option",
        what,
        where=f"option {name:.80}",
        expected=expected,
        action=action,
    )


# -- its images


def missing_image(what: str, expected: str, action: str) -> Problem:
    """400, for a body that brings none."""
    return Problem(400, "missing_image", what, where="request body", expected=expected, action=action)


def too_many_images(what: str, expected: str, action: str, status: int = 400) -> Problem:
    """400 for a request, 413 for a batch."""
    return Problem(status, "too_many_images", what, where="request body", expected=expected, action=action)


def image_too_many_bytes(megabytes: float, name: str) -> Problem:
    """413, for an encoded image; one of too many pixels is an `ImageError` of the decoder."""
    return Problem(
        413,
        "image_too_many_bytes",
        f"the file is larger than {megabytes:g} MB",
        where=name,
        expected=f"at most {megabytes:g} MB per image (1 MB is 10**6 bytes)",
        action="scale the image down or compress it more",
    )


# -- the service


def nothing_serves(where: str, failures: Mapping[str, str]) -> Problem:
    """503 where no model is deployed; `failures` say why."""
    reason = "; ".join(f"{slot}: {text}" for slot, text in failures.items())
    return Problem(
        503,
        "not_deployed",
        f"no model serves ({reason})" if reason else "no model serves",
        where=where,
        expected="a deployed champion",
        action="promote a model: visionloop promote MODEL, or visionloop deploy MODEL",
        retry_after=5.0,
    )


def overloaded(what: str, expected: str, retry_after: float) -> Problem:
    """503, for a queue that is full."""
    return Problem(
        503,
        "overloaded",
        what,
        where="queue",
        expected=expected,
        action="try again after the seconds in Retry-After",
        retry_after=retry_after,
    )


def pixels_exhausted(num_held: int, max_pixels: int) -> Problem:
    """503, for an image that would make a worker hold too many decoded pixels at once."""
    return Problem(
        503,
        "pixels_exhausted",
        f"images of {num_held:,} pixels are being decoded already",
        where="decoder",
        expected=f"at most {max_pixels:,} pixels at once in a worker",
        action="try again after the seconds in Retry-After, or scale the image down",
        retry_after=1.0,
    )


def bodies_exhausted(num_held: int, max_bytes: int) -> Problem:
    """503, for a body that would make a worker hold too many bytes at once."""
    return Problem(
        503,
        "bodies_exhausted",
        f"bodies of {num_held / 1e6:,.1f} MB are being received or answered already",
        where="request body",
        expected=f"at most {max_bytes / 1e6:,g} MB at once in a worker (1 MB is 10**6 bytes)",
        action="try again after the seconds in Retry-After, or send smaller images",
        retry_after=1.0,
    )


def too_late(seconds: float, action: str) -> Problem:
    """504, for an answer that is waited for no longer."""
    return Problem(
        504,
        "too_late",
        f"no answer within {seconds:g} s",
        where="queue",
        expected="an answer in time",
        action=action,
        retry_after=seconds,
    )


def internal_error(where: str) -> Problem:
    """500, for a bug of ours."""
    return Problem(
        500,
        "internal_error",
        "the service failed; this is not the request's fault",
        where=where,
        expected="an answer",
        action="tell the operator the X-Request-ID of this answer: the log says more",
    )


def quoted(text: str) -> str:
    """A client's text, short and without control characters."""
    return repr(text if len(text) <= 64 else text[:61] + "...")
