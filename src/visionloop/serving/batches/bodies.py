"""The two kinds of request bodies, written into a job's archive as they arrive: a zip, or a form of files."""

from __future__ import annotations

import contextlib
import zipfile
from pathlib import Path
from typing import IO, Protocol

from visionloop.serving.batches.refusals import too_many
from visionloop.serving.forms import FILE_FIELDS, MAX_TEXT_BYTES, Form
from visionloop.serving.options import OPTION_NAMES
from visionloop.serving.refusals import quoted, text_too_long, unexpected_field
from visionloop.serving.settings import ServingSettings

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
        """Raises a `Problem` where there is no such boundary."""
        self._form = Form(boundary, self)
        self.options: dict[str, str] = {}
        self._settings = settings
        self._zip = zipfile.ZipFile(path, "w")
        # Of the part being read; a text has no member.
        self._member: IO[bytes] | None = None
        self._text = bytearray()
        self._field = ""
        self._num_files = self._num_bytes = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            Problem: no form, an unknown field, a text too long, or too many images.
        """
        self._form.feed(chunk)

    def finish(self) -> None:
        """Complete the archive.

        Raises:
            Problem: the form has no end.
        """
        self._form.finish()
        self._zip.close()

    def close(self) -> None:
        """Free the file, finished or not."""
        # Either may fail to write its last bytes on a full disk; the other is closed all the same.
        with contextlib.closing(self._zip):
            if self._member is not None:
                self._member.close()

    def begin(self, field: str, filename: str | None, where: str) -> None:
        """As a form's taker."""
        self._field, self._num_bytes = field, 0
        self._text.clear()
        if field not in (OPTIONS if filename is None else FILE_FIELDS):
            raise unexpected_field(
                f"the form has an unknown field {quoted(field)}",
                "files in the field image, text in " + ", ".join(sorted(OPTIONS)),
                where,
            )
        if filename is not None:
            self._begin_file(filename)

    def add(self, data: memoryview) -> None:
        """As a form's taker."""
        self._num_bytes += len(data)
        if self._member is None:
            if self._num_bytes > MAX_TEXT_BYTES:
                raise text_too_long(self._field, MAX_TEXT_BYTES)
            self._text += data
            return
        # As with the members of an archive, one image too large stops no other: what is kept of it is just enough for
        # it to be too large for whoever reads it.
        room = int(self._settings.upload.max_image_mb * 1e6) + 1 - (self._num_bytes - len(data))
        if room > 0:
            self._member.write(data[:room])

    def end(self) -> None:
        """As a form's taker."""
        if self._member is None:
            self.options[self._field] = self._text.decode("utf-8", "replace")
        else:
            self._member.close()
            self._member = None

    def _begin_file(self, name: str) -> None:
        self._num_files += 1
        if self._num_files > self._settings.batches.max_images:
            raise too_many(self._settings.batches)
        # A name ending in a slash would be a folder's.
        member = zipfile.ZipInfo(name.rstrip("/") or f"image {self._num_files}")
        # Two files may have one name, which `zipfile` would have written to stderr, name and all.
        self._zip.NameToInfo.pop(member.filename, None)
        self._member = self._zip.open(member, "w")
