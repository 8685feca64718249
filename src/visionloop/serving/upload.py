"""Images out of request bodies: read while they stream, within limits, never through a file."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from visionloop.core.errors import near_matches
from visionloop.serving.problems import Problem
from visionloop.serving.refusals import (
    body_too_large,
    body_too_slow,
    image_too_many_bytes,
    malformed_form,
    missing_image,
    quoted,
    text_too_long,
    too_many_images,
    unexpected_field,
    unsupported_media_type,
)
from visionloop.serving.settings import UploadSettings

FILE_FIELDS = ("image", "images")
"""Form fields that carry files."""

VENDOR_FILE_FIELD = "imagedata"
"""Field of Custom Vision's clients, in any case; a file there, although not all of them give it a file name."""

MAX_PARTS = 1001
"""Most parts of a form: the most images a service may be set to, and one option."""

MAX_TEXT_PARTS = 64
"""Most text parts of a form."""

MAX_TEXT_BYTES = 4096
"""Longest value of a text part."""

MAX_HEADER_BYTES = 8192
"""Most bytes in the headers of a part."""

_ACCEPTED = "multipart/form-data with files in the field image, or one image as image/* or application/octet-stream"
_BOUNDARY = re.compile(rb"[ -~]{0,69}[!-~]")  # RFC 2046, section 5.1.1, with any visible character.
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_EXTENDED_FILENAME = re.compile(rb";[ \t]*filename\*[^;=]*=", re.IGNORECASE)


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
            too slowly, 400 for everything else.
        ClientDisconnect: the client left.
    """
    body = _body_for(request, settings, options)
    max_bytes = _bytes(settings.max_request_mb)
    try:
        _check_declared_length(request, body, settings)
        async with asyncio.timeout(settings.body_timeout_s), aclosing(request.stream()) as stream:
            num_received = 0
            async for chunk in stream:
                num_received += len(chunk)
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

    def add(self, data: bytes, start: int, end: int) -> None:
        if self._stream.tell() + end - start > self._max_bytes:
            raise self._excess()
        self._stream.write(memoryview(data)[start:end])

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
        self._buffer.add(chunk, 0, len(chunk))

    def finish(self) -> Upload:
        data = self._buffer.value()
        if not data:
            raise _empty_body()
        return Upload((UploadedImage(data, _image_name(1)),), {})

    def drop(self) -> None:
        self._buffer.drop()


class _FormBody:
    """A multipart form, as the parser's callbacks tell it part by part."""

    def __init__(self, boundary: bytes, settings: UploadSettings, options: frozenset[str]) -> None:
        if not _BOUNDARY.fullmatch(boundary):
            raise malformed_form(
                "the Content-Type names no boundary of 1 to 70 visible characters", "header Content-Type"
            )
        parts = self._parts = _Parts(settings, options)
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": parts.begin,
                "on_header_field": parts.add_header_name,
                "on_header_value": parts.add_header_value,
                "on_header_end": parts.end_header,
                "on_headers_finished": parts.end_headers,
                "on_part_data": parts.add_data,
                "on_part_end": parts.end,
                "on_end": parts.end_form,
            },
            max_header_count=MAX_HEADER_BYTES,
            max_header_size=MAX_HEADER_BYTES,
        )

    def feed(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except MultipartParseError as error:
            # The parser's two limits on headers share their class with its syntax errors.
            if str(error).startswith("Maximum header"):
                raise self._parts.headers_too_large() from None
            raise malformed_form(f"the form cannot be parsed ({error})", self._parts.where) from None

    def finish(self) -> Upload:
        return self._parts.finish()

    def drop(self) -> None:
        self._parts.drop()


class _Parts:
    """The parts of a form, collected by the parser's callbacks."""

    def __init__(self, settings: UploadSettings, options: frozenset[str]) -> None:
        self._settings = settings
        self._allowed = options
        self._images: list[UploadedImage] = []
        self._options: dict[str, str] = {}
        self._num_parts = 0
        self._num_text_parts = 0
        self._ended = False
        # Of the part being read:
        self._num_header_bytes = 0
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._disposition: bytes | None = None
        self._option: str | None = None
        self._buffer: _Buffer | None = None

    @property
    def where(self) -> str:
        """The part being read."""
        return f"part {self._num_parts} of the form" if self._num_parts else "request body"

    def begin(self) -> None:
        self._num_parts += 1
        if self._num_parts > MAX_PARTS:
            raise _too_many_parts()
        self._num_header_bytes = 0
        self._disposition = None

    def add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._header_name += data[start:end]

    def add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._header_value += data[start:end]

    def end_header(self) -> None:
        self._count_header(len(b":\r\n"))
        if self._header_name.lower() == b"content-disposition":
            if self._disposition is not None:
                raise malformed_form("the part has two headers Content-Disposition", self.where)
            self._disposition = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def end_headers(self) -> None:
        kind, parameters = parse_options_header(self._disposition)
        if self._disposition is None or kind != b"form-data" or b"name" not in parameters:
            raise malformed_form('the part has no Content-Disposition: form-data; name="..."', self.where)
        name = parameters[b"name"].decode("utf-8", "replace")
        has_filename = b"filename" in parameters or _has_extended_filename(self._disposition)
        if has_filename or name.lower() == VENDOR_FILE_FIELD:
            self._begin_image(name)
        else:
            self._begin_option(name)

    def add_data(self, data: bytes, start: int, end: int) -> None:
        assert self._buffer is not None
        self._buffer.add(data, start, end)

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

    def end_form(self) -> None:
        self._ended = True

    def finish(self) -> Upload:
        if not self._ended:
            raise malformed_form("the form stops before its closing boundary", self.where)
        if not self._images:
            raise missing_image(
                "the form has no image", "at least one file in the field image", "add the image's file to the form"
            )
        return Upload(tuple(self._images), self._options)

    def drop(self) -> None:
        self._images.clear()
        self._buffer = None

    def headers_too_large(self) -> Problem:
        return _part_headers_too_large(self.where)

    def _count_header(self, num_bytes: int) -> None:
        self._num_header_bytes += num_bytes
        if self._num_header_bytes > MAX_HEADER_BYTES:
            raise self.headers_too_large()

    def _begin_image(self, field: str) -> None:
        if field not in FILE_FIELDS and field.lower() != VENDOR_FILE_FIELD:
            expected = "files only in the field image; " + near_matches(field[:64], FILE_FIELDS)
            raise unexpected_field(f"the field {quoted(field)} carries a file", expected, self.where)
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

    def _begin_option(self, field: str) -> None:
        self._num_text_parts += 1
        if self._num_text_parts > MAX_TEXT_PARTS:
            raise _too_many_fields()
        if field in FILE_FIELDS:
            raise _not_a_file(field, self.where)
        if field not in self._allowed:
            expected = near_matches(field[:64], self._allowed | set(FILE_FIELDS))
            raise unexpected_field(f"the form has an unknown field {quoted(field)}", expected, self.where)
        if field in self._options:
            raise _repeated_field(field, self.where)
        self._option = field
        self._buffer = _Buffer(MAX_TEXT_BYTES, partial(text_too_long, field, MAX_TEXT_BYTES))


def _has_extended_filename(disposition: bytes) -> bool:
    # `filename*=` (RFC 5987) makes a part a file, although the parser leaves the parameter out.
    return _EXTENDED_FILENAME.search(_QUOTED.sub(b"", disposition)) is not None


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


def _part_headers_too_large(where: str) -> Problem:
    return Problem(
        400,
        "part_headers_too_large",
        f"the part's headers are longer than {MAX_HEADER_BYTES:,} bytes",
        where=where,
        expected=f"at most {MAX_HEADER_BYTES:,} bytes of headers per part",
        action="send a shorter field and file name",
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
