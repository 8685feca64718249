"""Images kept for review and retraining: re-encoded, so that pixels are all there is in them."""

from __future__ import annotations

import contextlib
import io
import logging
import queue
import threading
from functools import partial
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from visionloop.core import files
from visionloop.core.images import ImageArray, decode_image
from visionloop.serving import metrics
from visionloop.serving.kept import image_file, kept_image
from visionloop.serving.pixels import PixelBudget
from visionloop.serving.problems import Problem
from visionloop.serving.settings import ServingSettings

_log = logging.getLogger(__name__)

_LOSSLESS_PIXELS = 256 * 256
_MAX_PENDING = 64
_MAX_PENDING_BYTES = 64_000_000
"""Whatever the images are: pixels of small ones, files of large ones."""
_PATIENCE_S = 30.0
"""Seconds an image waits until requests leave room to decode it again."""


class _Pending(NamedTuple):
    sha256: str
    image: ImageArray | bytes

    @property
    def num_bytes(self) -> int:
        return len(self.image) if isinstance(self.image, bytes) else self.image.nbytes


class ImageKeeper:
    """Writes images in a thread of its own.

    What it cannot keep up with it drops and counts in `visionloop_images_dropped`: `busy` (too many at once), `full`
    (the folder is) or `error` (it cannot be written).
    """

    def __init__(self, settings: ServingSettings, root: Path, pixels: PixelBudget) -> None:
        self._folder = root / settings.images.folder
        self._limit = settings.images.max_gb * 1e9
        self._max_pixels = settings.upload.max_pixels
        self._pixels = pixels
        self._size = 0.0
        self._queue: queue.Queue[_Pending | None] = queue.Queue(maxsize=_MAX_PENDING)
        self._pending_bytes = 0
        self._counting = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="image-keeper", daemon=True)
        self._thread.start()

    def keep(self, sha256: str, image: ImageArray | bytes) -> None:
        """Have an image written; returns at once.

        Args:
            sha256: Hash of the bytes that were sent; the file's name.
            image: uint8 [H,W,3], or the encoded image, which is decoded again: so nothing large waits decoded.
        """
        entry = _Pending(sha256, image)
        try:
            if self._pending_bytes and self._pending_bytes + entry.num_bytes > _MAX_PENDING_BYTES:
                raise queue.Full
            self._queue.put_nowait(entry)
        except queue.Full:
            _drop("busy")
            return
        self._count(entry.num_bytes)

    @property
    def has_room(self) -> bool:
        """Whether less than half of those that may wait to be written wait."""
        return self._queue.qsize() < _MAX_PENDING // 2 and self._pending_bytes < _MAX_PENDING_BYTES // 2

    def path(self, sha256: str) -> Path | None:
        """The kept image of that hash, or None."""
        return kept_image(self._folder, sha256)

    def close(self) -> None:
        """Write what is pending, and stop."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(timeout=10)

    def _count(self, num_bytes: int) -> None:
        with self._counting:
            self._pending_bytes += num_bytes

    def _run(self) -> None:
        self._size = _size(self._folder)
        while (entry := self._queue.get()) is not None:
            try:
                self._write(entry)
            except Problem:
                _drop("busy")
            except Exception as error:
                # The thread must outlive every image: those that wait for it would wait for ever.
                _drop("error")
                _log.warning("an image was not kept: %s", getattr(error, "strerror", None) or type(error).__name__)
            self._count(-entry.num_bytes)

    def _write(self, entry: _Pending) -> None:
        if self.path(entry.sha256) is not None:
            return
        with self._pixels.share() as share:
            image = entry.image
            if isinstance(image, bytes):
                admit = partial(share.take, patience_s=_PATIENCE_S)
                image = decode_image(image, max_pixels=self._max_pixels, admit=admit)
            # Small pictures lose much in JPEG and little space in PNG; photographs the other way round.
            lossless = image.shape[0] * image.shape[1] <= _LOSSLESS_PIXELS
            encoded = _encoded(image, lossless=lossless)
            del image
        if self._size + len(encoded) > self._limit:
            _drop("full")
            return
        target = image_file(self._folder, entry.sha256, ".png" if lossless else ".jpg")
        target.parent.mkdir(parents=True, exist_ok=True)
        files.write_bytes(target, encoded)
        self._size += len(encoded)


def _encoded(image: ImageArray, *, lossless: bool) -> bytes:
    buffer = io.BytesIO()
    if lossless:
        Image.fromarray(image).save(buffer, "PNG")
    else:
        Image.fromarray(image).save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def _drop(reason: str) -> None:
    metrics.IMAGES_DROPPED.labels(reason).inc()


def _size(folder: Path) -> int:
    """Bytes of the files below a folder, to which other workers add, and rename theirs, meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total
