"""Images out of request bodies: read while they stream, within limits, never through a file."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from visionloop.core.errors import near_matches
from visionloop.serving.bodies import held_body
from visionloop.serving.forms import FILE_FIELDS, MAX_TEXT_BYTES, Form
from visionloop.serving.problems import Problem
from visionloop.serving.refusals import (
    body_too_large,
    body_too_slow,
    image_too_many_bytes,
    missing_image,
    quoted,
    text_too_long,
    too_many_images,
    unexpected_field,
    unsupported_media_type,
)
from visionloop.serving.settings import UploadSettings

VENDOR_FILE_FIELD = "imagedata"
"""Field of Custom Vision's clients, in any case; a file there, although not all of them give it a file name."""

MAX_PARTS = 1001
"""Most parts of a form: the most images a service may be set to, and one option."""

MAX_TEXT_PARTS = 64
"""Most text parts of a form."""

_ACCEPTED = "multipart/form-data with files in the field image, or one image as image/* or application/octet-stream"


class UploadedImage(NamedTuple):
    """An encoded image.

    Attributes:
        data: The file's bytes, never empty; not known to be an image yet.
        name: What errors call it, such as `image 1`; nothing of the client's is in it.
    """

    data: bytes
    name: str


@dataclass(frozen=True)
class Upload:
    """What a request carried.

    Attributes:
        images: At least one, in the order of the request.
        options: Text fields of the form; empty for a raw body.
    """

    images: tuple[UploadedImage, ...]
    options: dict[str, str]


async def read_upload(request: Request, settings: UploadSettings, *, options: frozenset[str]) -> Upload:
    """Read the images and options of a request.

    The body is a form (`multipart/form-data`: files in the fields `image`, `images` or `imageData`, text
    fields named in `options`) or one image (`image/*`, `application/octet-stream`). What the client says
    about an image, its file name and type, is ignored.

    Args:
        request: A request whose body has not been read.
        settings: Limits. At most one body is held, and reading stops at the first excess.
        options: Names of the text fields a form may have.

    Raises:
        Problem: 415 for another content type, 413 for too large a body or image, 408 for one that arrives
            too slowly, 503 where too many others arrive, 400 for everything else.
        ClientDisconnect: the client left.
    """
    body = _body_for(request, settings, options)
    max_bytes = _bytes(settings.max_request_mb)
    held = held_body(request)
    try:
        _check_declared_length(request, body, settings)
        async with asyncio.timeout(settings.body_timeout_s), aclosing(request.stream()) as stream:
            num_received = 0
            async for chunk in stream:
                num_received += len(chunk)
                held.take(len(chunk))
                if num_received > max_bytes:
                    raise _body_too_large(settings)
                body.feed(chunk)
                if chunk and num_received > len(chunk):
                    # Pieces that are already in memory would otherwise neither let others run nor time out.
                    await asyncio.sleep(0)
        return body.finish()
    except TimeoutError:
        action = "try again over a faster connection, or send fewer or smaller images"
        raise body_too_slow(settings.body_timeout_s, action) from None
    finally:
        # A raised problem keeps its frames, and so what was read, alive until it has been answered.
        body.drop()


def _body_for(request: Request, settings: UploadSettings, options: frozenset[str]) -> _RawBody | _FormBody:
    media_type, parameters = parse_options_header(request.headers.get("content-type"))
    if media_type == b"multipart/form-data":
        return _FormBody(parameters.get(b"boundary", b""), settings, options)
    if media_type == b"application/octet-stream" or (media_type.startswith(b"image/") and media_type != b"image/"):
        return _RawBody(settings)
    raise unsupported_media_type(
        media_type.decode("latin-1"), _ACCEPTED, "send the image's file itself as one of these"
    )


def _check_declared_length(request: Request, body: _RawBody | _FormBody, settings: UploadSettings) -> None:
    declared = request.headers.get("content-length", "")
    # As a float, for int() refuses thousands of digits; a length that is no number proves nothing.
    length = float(declared) if declared.isdecimal() else 0.0
    if length > _bytes(settings.max_request_mb):
        raise _body_too_large(settings)
    if isinstance(body, _RawBody) and length > _bytes(settings.max_image_mb):
        raise image_too_many_bytes(settings.max_image_mb, _image_name(1))


class _Buffer:
    """Bytes that arrive in pieces, and the problem to raise when there are too many."""

    def __init__(self, max_bytes: int, excess: Callable[[], Problem]) -> None:
        self._max_bytes = max_bytes
        self._excess = excess
        # Grows in place and gives its bytes away without a copy.
        self._stream = io.BytesIO()

    def add(self, data: bytes | memoryview) -> None:
        if self._stream.tell() + len(data) > self._max_bytes:
            raise self._excess()
        self._stream.write(data)

    def value(self) -> bytes:
        return self._stream.getvalue()

    def drop(self) -> None:
        self._stream.close()


class _RawBody:
    """A body that is one image."""

    def __init__(self, settings: UploadSettings) -> None:
        excess = partial(image_too_many_bytes, settings.max_image_mb, _image_name(1))
        self._buffer = _Buffer(_bytes(settings.max_image_mb), excess)

    def feed(self, chunk: bytes) -> None:
        self._buffer.add(chunk)

    def finish(self) -> Upload:
        data = self._buffer.value()
        if not data:
            raise _empty_body()
        return Upload((UploadedImage(data, _image_name(1)),), {})

    def drop(self) -> None:
        self._buffer.drop()


class _FormBody:
    """A multipart form."""

    def __init__(self, boundary: bytes, settings: UploadSettings, options: frozenset[str]) -> None:
        self._parts = _Parts(settings, options)
        self._form = Form(boundary, self._parts)
        self.feed = self._form.feed

    def finish(self) -> Upload:
        self._form.finish()
        return self._parts.upload()

    def drop(self) -> None:
        self._parts.drop()


class _Parts:
    """The images and options of a form, collected part by part."""

    def __init__(self, settings: UploadSettings, options: frozenset[str]) -> None:
        self._settings = settings
        self._allowed = options
        self._images: list[UploadedImage] = []
        self._options: dict[str, str] = {}
        self._num_parts = 0
        self._num_text_parts = 0
        # Of the part being read; an image has no option's name.
        self._option: str | None = None
        self._buffer: _Buffer | None = None

    def begin(self, field: str, filename: str | None, where: str) -> None:
        self._num_parts += 1
        if self._num_parts > MAX_PARTS:
            raise _too_many_parts()
        if filename is not None or field.lower() == VENDOR_FILE_FIELD:
            self._begin_image(field, where)
        else:
            self._begin_option(field, where)

    def add(self, data: memoryview) -> None:
        assert self._buffer is not None
        self._buffer.add(data)

    def end(self) -> None:
        assert self._buffer is not None
        data = self._buffer.value()
        self._buffer = None
        if self._option is not None:
            self._options[self._option] = _decoded(data, self._option)
        else:
            name = _image_name(len(self._images) + 1)
            if not data:
                raise _image_empty(name)
            self._images.append(UploadedImage(data, name))

    def upload(self) -> Upload:
        if not self._images:
            raise missing_image(
                "the form has no image", "at least one file in the field image", "add the image's file to the form"
            )
        return Upload(tuple(self._images), self._options)

    def drop(self) -> None:
        self._images.clear()
        self._buffer = None

    def _begin_image(self, field: str, where: str) -> None:
        if field not in FILE_FIELDS and field.lower() != VENDOR_FILE_FIELD:
            expected = "files only in the field image; " + near_matches(field[:64], FILE_FIELDS)
            raise unexpected_field(f"the field {quoted(field)} carries a file", expected, where)
        settings = self._settings
        if len(self._images) == settings.max_images:
            raise too_many_images(
                f"the form has more than {settings.max_images} images",
                f"at most {settings.max_images} images per request",
                "spread the images over several requests",
            )
        name = _image_name(len(self._images) + 1)
        self._option = None
        excess = partial(image_too_many_bytes, settings.max_image_mb, name)
        self._buffer = _Buffer(_bytes(settings.max_image_mb), excess)

    def _begin_option(self, field: str, where: str) -> None:
        self._num_text_parts += 1
        if self._num_text_parts > MAX_TEXT_PARTS:
            raise _too_many_fields()
        if field in FILE_FIELDS:
            raise _not_a_file(field, where)
        if field not in self._allowed:
            expected = near_matches(field[:64], self._allowed | set(FILE_FIELDS))
            raise unexpected_field(f"the form has an unknown field {quoted(field)}", expected, where)
        if field in self._options:
            raise _repeated_field(field, where)
        self._option = field
        self._buffer = _Buffer(MAX_TEXT_BYTES, partial(text_too_long, field, MAX_TEXT_BYTES))


def _bytes(megabytes: float) -> int:
    return int(megabytes * 1_000_000)


def _image_name(number: int) -> str:
    return f"image {number}"


def _decoded(data: bytes, field: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise _not_utf8(field) from None


# -- what a request's body alone is refused with


def _body_too_large(settings: UploadSettings) -> Problem:
    return body_too_large(settings.max_request_mb * 1e6, "request", "send fewer or smaller images per request")


def _empty_body() -> Problem:
    return Problem(
        400,
        "empty_body",
        "the body is empty",
        where="request body",
        expected="the bytes of an image",
        action="send the image's file as the body",
    )


def _too_many_parts() -> Problem:
    return Problem(
        400,
        "too_many_parts",
        f"the form has more than {MAX_PARTS:,} parts",
        where="request body",
        expected=f"at most {MAX_PARTS:,} parts",
        action="send fewer images per request",
    )


def _too_many_fields() -> Problem:
    return Problem(
        400,
        "too_many_fields",
        f"the form has more than {MAX_TEXT_PARTS} text fields",
        where="request body",
        expected=f"at most {MAX_TEXT_PARTS} text fields",
        action="leave out fields",
    )


def _not_a_file(field: str, where: str) -> Problem:
    return Problem(
        400,
        "not_a_file",
        f"the field {field!r} carries text; this service never fetches images by URL",
        where=where,
        expected="the image's file, in a part that has a filename",
        action="upload the bytes of the image",
    )


def _repeated_field(field: str, where: str) -> Problem:
    return Problem(
        400,
        "repeated_field",
        f"the field {field!r} is given twice",
        where=where,
        expected="each text field once",
        action="leave one of them out",
    )


def _not_utf8(field: str) -> Problem:
    return Problem(
        400,
        "text_not_utf8",
        f"the value of {field!r} is not UTF-8",
        where=f"field {field}",
        expected="text in UTF-8",
        action="encode the form in UTF-8",
    )


def _image_empty(name: str) -> Problem:
    return Problem(
        400,
        "image_empty",
        "the file is empty",
        where=name,
        expected="an image",
        action="replace the file or leave it out",
    )
