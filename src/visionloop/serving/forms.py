"""Forms (multipart/form-data) as they arrive: told part by part to whoever takes them, within limits."""

from __future__ import annotations

import re
from typing import Protocol

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from visionloop.serving.problems import Problem
from visionloop.serving.refusals import malformed_form

FILE_FIELDS = ("image", "images")
"""Form fields that carry files."""

MAX_TEXT_BYTES = 4096
"""Longest value of a text part."""

MAX_HEADER_BYTES = 8192
"""Most bytes in the headers of a part."""

_BOUNDARY = re.compile(rb"[ -~]{0,69}[!-~]")  # RFC 2046, section 5.1.1, with any visible character.
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_EXTENDED_FILENAME = re.compile(rb";[ \t]*filename\*[^;=]*=", re.IGNORECASE)


class Taker(Protocol):
    """Takes the parts of a form; each method may raise a `Problem`, which ends the reading."""

    def begin(self, field: str, filename: str | None, where: str) -> None:
        """A part begins.

        Args:
            field: Its name.
            filename: What the client calls the file, maybe nothing; None where the part is text.
            where: What errors call the part.
        """

    def add(self, data: memoryview) -> None:
        """The part goes on; `data` is valid during the call."""

    def end(self) -> None:
        """The part is complete."""


class Form:
    """A form that arrives in pieces."""

    def __init__(self, boundary: bytes, taker: Taker) -> None:
        """`boundary`: as the Content-Type says.

        Raises:
            Problem: 400, there is no such boundary.
        """
        if not _BOUNDARY.fullmatch(boundary):
            raise malformed_form(
                "the Content-Type names no boundary of 1 to 70 visible characters", "header Content-Type"
            )
        self._num_parts = 0
        self._taker = taker
        self._ended = False
        self._num_header_bytes = 0
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._disposition: bytes | None = None
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._add_header_name,
                "on_header_value": self._add_header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._add,
                "on_part_end": taker.end,
                "on_end": self._end,
            },
            max_header_count=MAX_HEADER_BYTES,
            max_header_size=MAX_HEADER_BYTES,
        )

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            Problem: no form, or what the taker raises.
        """
        try:
            self._parser.write(chunk)
        except MultipartParseError as error:
            # The parser's two limits on headers share their class with its syntax errors.
            if str(error).startswith("Maximum header"):
                raise self._headers_too_large() from None
            raise malformed_form(f"the form cannot be parsed ({error})", self._where) from None

    def finish(self) -> None:
        """Nothing more will come.

        Raises:
            Problem: 400, the form has no end.
        """
        if not self._ended:
            raise malformed_form("the form stops before its closing boundary", self._where)

    @property
    def _where(self) -> str:
        return f"part {self._num_parts} of the form" if self._num_parts else "request body"

    def _begin(self) -> None:
        self._num_parts += 1
        self._num_header_bytes = 0
        self._disposition = None

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        self._count_header(len(b":\r\n"))
        if self._header_name.lower() == b"content-disposition":
            if self._disposition is not None:
                raise malformed_form("the part has two headers Content-Disposition", self._where)
            self._disposition = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _end_headers(self) -> None:
        kind, parameters = parse_options_header(self._disposition)
        if self._disposition is None or kind != b"form-data" or b"name" not in parameters:
            raise malformed_form('the part has no Content-Disposition: form-data; name="..."', self._where)
        filename = parameters.get(b"filename", b"" if _has_extended_filename(self._disposition) else None)
        self._taker.begin(
            parameters[b"name"].decode("utf-8", "replace"),
            None if filename is None else filename.decode("utf-8", "replace"),
            self._where,
        )

    def _add(self, data: bytes, start: int, end: int) -> None:
        self._taker.add(memoryview(data)[start:end])

    def _end(self) -> None:
        self._ended = True

    def _count_header(self, num_bytes: int) -> None:
        self._num_header_bytes += num_bytes
        if self._num_header_bytes > MAX_HEADER_BYTES:
            raise self._headers_too_large()

    def _headers_too_large(self) -> Problem:
        return Problem(
            400,
            "part_headers_too_large",
            f"the part's headers are longer than {MAX_HEADER_BYTES:,} bytes",
            where=self._where,
            expected=f"at most {MAX_HEADER_BYTES:,} bytes of headers per part",
            action="send a shorter field and file name",
        )


def _has_extended_filename(disposition: bytes) -> bool:
    # `filename*=` (RFC 5987) makes a part a file, although the parser leaves the parameter out.
    return _EXTENDED_FILENAME.search(_QUOTED.sub(b"", disposition)) is not None
