"""The zip archive of a job's images, read without trusting what it says of itself."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from visionloop.core.images import SUFFIXES
from visionloop.serving.batches.refusals import bad_archive, too_many, unpacks_too_large, unreadable_image
from visionloop.serving.refusals import image_too_many_bytes, missing_image
from visionloop.serving.settings import ServingSettings

_CHUNK = 1 << 20
_ENCRYPTED = 0x1
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""The other methods let an archive choose how much memory unpacking takes."""
_DIRECTORY_BYTES = 512
"""Bytes of a zip's directory read for each image allowed, so that a directory cannot fill the memory."""
_ZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, RuntimeError, NotImplementedError, ValueError,
)  # fmt: skip


class _BoundedReader(io.BufferedReader):
    """A file of which no more than so much is read at once."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        super().__init__(io.FileIO(path))
        self._max_bytes = max_bytes

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self._max_bytes:
            raise zipfile.BadZipFile("its directory is too large")
        return super().read(size)


class Archive:
    """The images of a zip. Names are text only: nothing is unpacked to disk.

    Attributes:
        images: Members to ask about, in the archive's order.
        num_skipped: Other files.
    """

    def __init__(self, path: Path, every_member: bool, settings: ServingSettings) -> None:
        self._settings = settings
        limit = max(_CHUNK, _DIRECTORY_BYTES * settings.batches.max_images)
        self._file = _BoundedReader(path, limit)
        try:
            self._zip = zipfile.ZipFile(self._file)
        except BaseException as error:
            self._file.close()
            if isinstance(error, _ZIP_ERRORS):
                raise bad_archive(error) from None
            raise
        members = [info for info in self._zip.infolist() if every_member or not _is_clutter(info)]
        self.images = [info for info in members if every_member or info.filename.lower().endswith(SUFFIXES)]
        self.num_skipped = len(members) - len(self.images)

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()
        self._file.close()

    @property
    def _max_image(self) -> int:
        return int(self._settings.upload.max_image_mb * 1e6)

    def require_accepted(self) -> None:
        """Check the whole.

        `zipfile` never gives more of a member than its declared size, so that the sum of those is what can be read.

        Raises:
            Problem: no images, too many, or too much to unpack.
        """
        limits = self._settings.batches
        if not self.images:
            raise missing_image(
                f"the archive has no image ({self.num_skipped} other files)",
                "files ending in " + ", ".join(SUFFIXES),
                "pack the images themselves; archives inside the archive are not opened",
            )
        if len(self.images) > limits.max_images:
            raise too_many(limits)
        unpacked = sum(info.file_size for info in self.images if info.file_size <= self._max_image)
        if unpacked > limits.max_unpacked_mb * 1e6:
            raise unpacks_too_large(limits)

    def read(self, info: zipfile.ZipInfo) -> bytes:
        """A member's bytes.

        Raises:
            Problem: too large, encrypted, packed by another method, or damaged.
        """
        name = info.filename
        if info.flag_bits & _ENCRYPTED:
            raise unreadable_image("image_encrypted", "the file is encrypted", name, "pack it without a password")
        if info.compress_type not in _METHODS:
            raise unreadable_image("image_compression", "the file is packed by another method", name, "use deflate")
        if info.file_size > self._max_image:
            raise image_too_many_bytes(self._settings.upload.max_image_mb, name)
        data = bytearray()
        try:
            with self._zip.open(info) as member:
                while chunk := member.read(_CHUNK):
                    data += chunk
        except _ZIP_ERRORS:
            raise unreadable_image("image_damaged", "the archive is damaged here", name, "pack it anew") from None
        return bytes(data)


def _is_clutter(info: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(info.filename).parts
    # Not `is_dir`, which fails on an empty name before Python 3.12.
    if info.filename.endswith("/") or "__MACOSX" in parts:
        return True
    # Leading out is not hiding: such a name is only odd text here.
    return any(part.startswith(".") and part not in (".", "..") for part in parts)
