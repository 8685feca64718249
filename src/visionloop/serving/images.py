"""Images kept for review and retraining: re-encoded, so that pixels are all there is in them."""

from __future__ import annotations

import contextlib
import io
import logging
import queue
import threading
from pathlib import Path

from PIL import Image

from visionloop.core import files
from visionloop.core.images import ImageArray
from visionloop.serving.settings import ImageStoreSettings

_log = logging.getLogger(__name__)

_LOSSLESS_PIXELS = 256 * 256
_MAX_PENDING = 64


class ImageKeeper:
    """Writes images in a thread of its own; drops and counts what it cannot keep up with.

    Attributes:
        dropped: Images not kept: too many at once, the folder is full, or it cannot be written.
    """

    def __init__(self, settings: ImageStoreSettings, root: Path) -> None:
        self._folder = root / settings.folder
        self._limit = settings.max_gb * 1e9
        self._size = 0.0
        self._queue: queue.Queue[tuple[str, ImageArray] | None] = queue.Queue(maxsize=_MAX_PENDING)
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="image-keeper", daemon=True)
        self._thread.start()

    def keep(self, sha256: str, image: ImageArray) -> None:
        """Have an image written; returns at once.

        Args:
            sha256: Hash of the bytes that were sent; the file's name.
            image: uint8 [H,W,3].
        """
        try:
            self._queue.put_nowait((sha256, image))
        except queue.Full:
            self.dropped += 1

    @property
    def has_room(self) -> bool:
        """Whether less than half of those that may wait to be written wait."""
        return self._queue.qsize() < _MAX_PENDING // 2

    def path(self, sha256: str) -> Path | None:
        """The kept image of that hash, or None."""
        return kept_image(self._folder, sha256)

    def close(self) -> None:
        """Write what is pending, and stop."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(timeout=10)

    def _run(self) -> None:
        self._size = _size(self._folder)
        while (entry := self._queue.get()) is not None:
            try:
                self._write(*entry)
            except Exception as error:
                # The thread must outlive every image: those that wait for it would wait for ever.
                self.dropped += 1
                _log.warning("an image was not kept: %s", getattr(error, "strerror", None) or type(error).__name__)

    def _write(self, sha256: str, image: ImageArray) -> None:
        if self.path(sha256) is not None:
            return
        # Small pictures lose much in JPEG and little space in PNG; photographs the other way round.
        lossless = image.shape[0] * image.shape[1] <= _LOSSLESS_PIXELS
        buffer = io.BytesIO()
        picture = Image.fromarray(image)
        if lossless:
            picture.save(buffer, "PNG")
        else:
            picture.save(buffer, "JPEG", quality=95, subsampling=0)
        if self._size + buffer.tell() > self._limit:
            self.dropped += 1
            return
        target = _file(self._folder, sha256, ".png" if lossless else ".jpg")
        target.parent.mkdir(parents=True, exist_ok=True)
        files.write_bytes(target, buffer.getvalue())
        self._size += buffer.tell()


def kept_image(folder: Path, sha256: str) -> Path | None:
    """The kept image of that hash in the folder of kept images, or None."""
    found = [_file(folder, sha256, suffix) for suffix in (".png", ".jpg")]
    return next((path for path in found if path.exists()), None)


def _file(folder: Path, sha256: str, suffix: str) -> Path:
    return folder / sha256[:2] / f"{sha256}{suffix}"


def _size(folder: Path) -> int:
    """Bytes of the files below a folder, to which other workers add, and rename theirs, meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total
