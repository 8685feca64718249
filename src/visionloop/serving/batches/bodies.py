"""The two kinds of request bodies, written into a job's archive as they arrive: a zip, or a form of files."""

from __future__ import annotations

import contextlib
import zipfile
from pathlib import Path
from typing import IO, Protocol

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from visionloop.serving.batches.refusals import too_many
from visionloop.serving.options import OPTION_NAMES
from visionloop.serving.refusals import image_too_many_bytes, malformed_form, quoted, text_too_long, unexpected_field
from visionloop.serving.settings import ServingSettings
from visionloop.serving.upload import FILE_FIELDS, MAX_HEADER_BYTES, MAX_TEXT_BYTES

OPTIONS = OPTION_NAMES | {"task"}
"""What a request may say beside its images, in the query or in a form's fields."""


class Body(Protocol):
    """Writes the bytes of a request into an archive.

    Attributes:
        options: What the body says beside its images.
    """

    options: dict[str, str]

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            Problem: what has arrived is refused.
        """

    def finish(self) -> None:
        """Complete the archive; nothing more will come.

        Raises:
            Problem: the body stops too early.
        """

    def close(self) -> None:
        """Free the file, finished or not."""


class ZipBody:
    """A body that is the archive."""

    def __init__(self, path: Path) -> None:
        self.options: dict[str, str] = {}
        self._file = path.open("wb")

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes, which are not looked at yet."""
        self._file.write(chunk)

    def finish(self) -> None:
        """Complete the archive."""
        self._file.close()

    def close(self) -> None:
        """Free the file, finished or not."""
        self._file.close()


class FormBody:
    """A form, whose files are put into an archive as they arrive."""

    def __init__(self, path: Path, boundary: bytes, settings: ServingSettings) -> None:
        if not 1 <= len(boundary) <= 70:
            raise malformed_form("the Content-Type names no boundary of 1 to 70 characters")
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
            max_header_size=MAX_HEADER_BYTES,
        )

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            Problem: no form, an unknown field, a text or an image too large, or too many images.
        """
        try:
            self._parser.write(chunk)
        except MultipartParseError as error:
            raise malformed_form(f"the form cannot be parsed ({error})") from None

    def finish(self) -> None:
        """Complete the archive.

        Raises:
            Problem: the form has no end.
        """
        if not self._ended:
            raise malformed_form("the form stops before its closing boundary")
        self._zip.close()

    def close(self) -> None:
        """Free the file, finished or not."""
        # Either may fail to write its last bytes on a full disk; the other is closed all the same.
        with contextlib.closing(self._zip):
            if self._member is not None:
                self._member.close()

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
            raise malformed_form('a part has no Content-Disposition: form-data; name="..."')
        self._field = parameters[b"name"].decode("utf-8", "replace")
        allowed = FILE_FIELDS if b"filename" in parameters else tuple(OPTIONS)
        if self._field not in allowed:
            raise unexpected_field(
                f"the form has an unknown field {quoted(self._field)}",
                "files in the field image, text in " + ", ".join(sorted(OPTIONS)),
            )
        if b"filename" in parameters:
            self._begin_file(parameters[b"filename"].decode("utf-8", "replace"))

    def _begin_file(self, name: str) -> None:
        self._num_files += 1
        if self._num_files > self._settings.batches.max_images:
            raise too_many(self._settings.batches)
        # A name ending in a slash would be a folder's.
        named = name.rstrip("/") or f"image {self._num_files}"
        # Two files may have one name, which `zipfile` would have written to stderr, name and all.
        self._zip.NameToInfo.pop(named, None)
        self._member = self._zip.open(zipfile.ZipInfo(named), "w")

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._num_bytes += end - start
        if self._member is None:
            if self._num_bytes > MAX_TEXT_BYTES:
                raise text_too_long(self._field, MAX_TEXT_BYTES)
            self._text += data[start:end]
            return
        megabytes = self._settings.upload.max_image_mb
        if self._num_bytes > megabytes * 1e6:
            raise image_too_many_bytes(megabytes, f"image {self._num_files}")
        self._member.write(memoryview(data)[start:end])

    def _end_part(self) -> None:
        if self._member is None:
            self.options[self._field] = self._text.decode("utf-8", "replace")
        else:
            self._member.close()
            self._member = None

    def _end(self) -> None:
        self._ended = True
