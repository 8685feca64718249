"""Every code a refusal can carry: what it means, what to do, and which routes answer it with which status.

The OpenAPI document is made of this, and a test holds it against the code that refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Code(NamedTuple):
    """What a code tells whoever wrote the request."""

    meaning: str
    """What was wrong."""
    action: str
    """What to do."""


Refusals = Mapping[int, tuple[str, ...]]
"""Codes by HTTP status."""

CODES: Mapping[str, Code] = {
    # Who may ask, and how often.
    "host_not_allowed": Code("the Host header is not one of `serving.hosts`", "ask under an allowed name"),
    "foreign_origin": Code("a page of another site asks, without a key", "add it to `serving.origins`, or use a key"),
    "key_missing": Code("a key is needed", "send `Authorization: Bearer …`"),
    "key_unknown": Code("the key is wrong, or was revoked", "ask the operator for another"),
    "role_too_low": Code("the key's role does not allow this", "ask for a key with the role named in `expected`"),
    "rate_limited": Code("too many requests", "wait the seconds of `Retry-After`"),
    # The request line.
    "no_such_route": Code("there is no such path", "correct the path"),
    "method_not_allowed": Code("the path has other methods", "use one of the header `Allow`"),
    # The body.
    "unsupported_media_type": Code("the Content-Type is not one the route takes", "send one named in `expected`"),
    "body_too_large": Code("the body is too large", "send fewer or smaller images"),
    "body_timeout": Code("the body came too slowly", "send less, or over a faster connection"),
    "empty_body": Code("there is no body", "send the image's bytes"),
    "malformed_json": Code("the body is not JSON", "correct the body"),
    "malformed_multipart": Code("the form is broken or cut off", "let an HTTP library build it"),
    "part_headers_too_large": Code("the headers of a form's part are too long", "shorten field and file name"),
    "too_many_parts": Code("the form has too many parts", "send fewer images in a request"),
    "too_many_fields": Code("the form has too many text fields", "leave fields out"),
    "too_many_images": Code("more images than a request, or a batch, may have", "spread them over several"),
    "unexpected_field": Code("the form has a field the route does not know", "correct its name"),
    "repeated_field": Code("a text field is given twice", "leave one out"),
    "text_not_utf8": Code("a text field is not UTF-8", "encode the form in UTF-8"),
    "text_too_long": Code("a text field is too long", "shorten it"),
    "not_a_file": Code("text where a file belongs; nothing is ever fetched by URL", "upload the image itself"),
    "missing_image": Code("the form or archive has no image", "add one, as `image` or by its suffix"),
    "bad_option": Code("an option is unknown, missing or out of range", "correct the one named in `where`"),
    "bad_change": Code("the change contradicts itself or its shape", "correct the field named in `where`"),
    "bad_feedback": Code("the feedback contradicts itself or its shape", "correct the field named in `where`"),
    # What Label Studio sends.
    "bad_task": Code("the body is not what Label Studio sends", "correct the field named in `where`"),
    "unfit_label_config": Code("no deployed model answers what the labelling configuration asks", "take labelling.xml"),
    "images_by_url": Code(
        "a task's image is an address; none is fetched", "import what `visionloop label export` wrote"
    ),
    # The image.
    "image_empty": Code("the file is empty", "replace it"),
    "image_truncated": Code("the file is damaged or cut off", "replace it"),
    "image_unsupported_format": Code("no image of an accepted format", "convert it to JPEG or PNG"),
    "image_animated": Code("the image has several frames", "send one frame"),
    "image_too_many_bytes": Code("the file is too large", "scale the image down, or compress it more"),
    "image_too_many_pixels": Code("the image has too many pixels", "scale it down"),
    "image_too_small": Code("the image is too thin to be looked at", "send a larger one"),
    # In a row of a batch's result only.
    "image_encrypted": Code("the file is encrypted in its archive", "pack it without a password"),
    "image_compression": Code("the archive packs the file by an unusual method", "pack it with deflate"),
    "image_damaged": Code("the archive is damaged at this file", "pack it anew"),
    # Models and their queue.
    "not_deployed": Code("no model serves the task", "have one promoted; `/v1/models` says why one failed"),
    "stopping": Code("this worker was told to stop", "send new requests to another"),
    "overloaded": Code("the queue is full", "wait the seconds of `Retry-After`"),
    "bodies_exhausted": Code("too many bodies are being received at once", "wait the seconds of `Retry-After`"),
    "pixels_exhausted": Code("too many pixels are being decoded at once", "wait the seconds of `Retry-After`"),
    "too_late": Code("the answer took too long", "try again, with fewer images"),
    # What is kept.
    "unknown_prediction": Code("there is no prediction of this id", "correct it; predictions are kept for a time"),
    "image_not_kept": Code("the prediction's image is not kept", "look at another"),
    "store_off": Code("the service keeps no predictions", "ask the operator to set `serving.store.enabled`"),
    "store_unavailable": Code("the prediction store does not answer", "try again; predictions go on meanwhile"),
    # The registry.
    "unknown_model": Code("there is no registered model of this name", "correct it; `/v1/models/history` lists them"),
    "unknown_report": Code("there is no such report, or picture of one", "`/v1/models/history` has the ids"),
    "registry_refused": Code("the registry refuses the change", "do what `action` says"),
    "registry_unavailable": Code("the registry cannot be asked from here", "use `visionloop promote` where it is"),
    # Batches.
    "bad_archive": Code("no zip archive that can be read", "pack the images anew"),
    "archive_too_large": Code("the archive unpacks to too much", "spread the images over several batches"),
    "too_many_batches": Code("enough batches are waiting", "wait the seconds of `Retry-After`"),
    "unknown_batch": Code("there is no batch of this id", "correct it; finished batches are kept for a time"),
    "batch_not_done": Code("the batch is waiting, running, failed or cancelled", "ask again after `Retry-After`"),
    "no_space": Code("the service's disk is full", "tell the operator"),
    "state_unavailable": Code("the service cannot write its folder", "tell the operator"),
    # Ours.
    "internal_error": Code("an error of ours", "report it with the `X-Request-ID`"),
}

ANYWHERE: Refusals = {400: ("host_not_allowed",), 403: ("foreign_origin",), 500: ("internal_error",)}
"""Of every route."""
KEYED: Refusals = {401: ("key_missing", "key_unknown"), 403: ("role_too_low",), 429: ("rate_limited",)}
"""Of every route that has a role."""
ROUTING: Refusals = {404: ("no_such_route",), 405: ("method_not_allowed",)}
"""Of no route."""
DEPLOYED: Refusals = {503: ("not_deployed",)}
READY: Refusals = {503: ("not_deployed", "stopping")}
OPTION: Refusals = {400: ("bad_option",)}
IMAGE: Refusals = {
    400: ("image_empty", "image_truncated"),
    415: ("image_unsupported_format",),
    422: ("image_animated", "image_too_many_pixels", "image_too_small"),
}
"""Of an image that is looked at."""
UPLOAD: Refusals = {
    400: (
        "empty_body", "malformed_multipart", "missing_image", "not_a_file", "part_headers_too_large",
        "repeated_field", "text_not_utf8", "text_too_long", "too_many_fields", "too_many_images", "too_many_parts",
        "unexpected_field",
    ),
    408: ("body_timeout",),
    413: ("body_too_large", "image_too_many_bytes"),
    415: ("unsupported_media_type",),
    503: ("bodies_exhausted",),
}  # fmt: skip
"""Of a body of images."""
QUEUE: Refusals = {503: ("overloaded", "pixels_exhausted"), 504: ("too_late",)}
STORE: Refusals = {404: ("unknown_prediction",), 503: ("store_off", "store_unavailable")}
KEPT: Refusals = {503: STORE[503]}
"""Of what is kept, without naming one."""
PICTURE: Refusals = {404: ("image_not_kept",)}
JSON_BODY: Refusals = {
    400: ("malformed_json",),
    408: ("body_timeout",),
    413: ("body_too_large",),
    415: ("unsupported_media_type",),
    503: ("bodies_exhausted",),
}
FEEDBACK: Refusals = {422: ("bad_feedback",)}
LABEL_CONFIG: Refusals = {422: ("bad_task", "unfit_label_config")}
"""Of what Label Studio sends."""
LABEL_TASKS: Refusals = {413: ("image_too_many_bytes",), 422: ("images_by_url",)}
"""Of its tasks' images."""
REPORT: Refusals = {404: ("unknown_report",)}
CHANGE: Refusals = {
    404: ("unknown_model",),
    409: ("registry_refused",),
    422: ("bad_change",),
    503: ("registry_unavailable",),
}
BATCH_UPLOAD: Refusals = {
    400: (
        "bad_archive", "malformed_multipart", "missing_image", "part_headers_too_large", "text_too_long",
        "unexpected_field",
    ),
    408: ("body_timeout",),
    413: ("archive_too_large", "body_too_large", "too_many_images"),
    415: ("unsupported_media_type",),
    503: ("state_unavailable", "too_many_batches"),
    507: ("no_space",),
}  # fmt: skip
BATCH: Refusals = {404: ("unknown_batch",)}
BATCH_RESULT: Refusals = {409: ("batch_not_done",)}
BATCH_ROW: Refusals = {
    422: (
        "image_compression",
        "image_damaged",
        "image_encrypted",
        "image_too_many_bytes",
        "image_too_many_pixels",
        "internal_error",
    )
}
"""Never of a request: of an image in a batch, which gets them as its row."""
STREAM: Refusals = {400: ("bad_option",), 503: ("not_deployed",)}
"""Of a frame, or of the connection; told in a message."""

GROUPS = (
    ANYWHERE, KEYED, ROUTING, DEPLOYED, READY, OPTION, IMAGE, UPLOAD, QUEUE, STORE, KEPT, PICTURE, JSON_BODY,
    FEEDBACK, LABEL_CONFIG, LABEL_TASKS, REPORT, CHANGE, BATCH_UPLOAD, BATCH, BATCH_RESULT, BATCH_ROW, STREAM,
)  # fmt: skip
"""Everything that is refused somewhere."""


def merged(groups: Iterable[Refusals]) -> dict[int, list[str]]:
    """All codes of some groups by status, both sorted."""
    found: dict[int, set[str]] = {}
    for group in groups:
        for status, codes in group.items():
            found.setdefault(status, set()).update(codes)
    return {status: sorted(found[status]) for status in sorted(found)}
