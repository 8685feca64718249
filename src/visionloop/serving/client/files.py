"""What the client sends: images as bytes, and archives of many."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from visionloop.core.errors import VisionloopError

ImageInput = bytes | str | Path
"""Encoded bytes, or a file's path."""


@contextmanager
def open_archive(source: str | Path | Sequence[str | Path]) -> Iterator[IO[bytes]]:
    """An open archive: the file itself, or a temporary one of the images.

    Args:
        source: A zip archive, a folder of images, or images.

    Raises:
        VisionloopError: a file cannot be read.
    """
    paths = [Path(source)] if isinstance(source, str | Path) else [Path(path) for path in source]
    try:
        if len(paths) == 1 and zipfile.is_zipfile(paths[0]):
            with paths[0].open("rb") as file:
                yield file
            return
        with tempfile.TemporaryFile() as file:
            with zipfile.ZipFile(file, "w", strict_timestamps=False) as archive:
                for path, name in _named(paths):
                    archive.write(path, name)
            file.seek(0)
            yield file
    except OSError as error:
        raise VisionloopError(
            f"a file cannot be read ({error.strerror})",
            where=str(error.filename or paths[0]),
            expected="a zip archive, a folder of images, or images",
            action="correct the path",
        ) from None


def _named(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Files with the names they get in the result: below a folder relative to it, else without folders."""
    for path in paths:
        if path.is_dir():
            yield from ((file, file.relative_to(path).as_posix()) for file in sorted(path.rglob("*")) if file.is_file())
        else:
            yield path, path.name


def encoded(image: ImageInput) -> bytes:
    """The image's bytes, read where it is a path.

    Raises:
        VisionloopError: the file cannot be read.
    """
    if isinstance(image, bytes):
        return image
    try:
        return Path(image).read_bytes()
    except OSError as error:
        raise VisionloopError(
            f"the file cannot be read ({error.strerror})",
            where=str(image),
            expected="an image file",
            action="correct the path",
        ) from None
