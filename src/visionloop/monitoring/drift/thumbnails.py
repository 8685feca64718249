"""Small pictures of the reference images that a drift check names, for who shows its result without the dataset."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from pydantic import ValidationError

from visionloop.core import files
from visionloop.core.errors import DataError
from visionloop.core.images import ImageArray
from visionloop.core.settings import Settings
from visionloop.monitoring.drift.summary import DriftSummary

_EDGE = 96
_QUALITY = 80


class Thumbnails(Settings):
    """Beside a `DriftSummary`, as `<task>.pictures.json`."""

    format: int = 1
    """Of this file."""
    digest: str
    """Of the bundle whose reference they are of."""
    jpeg_base64: dict[str, str]
    """By id of the reference image; those at hand where the check ran."""


def thumbnails_path(summary: Path) -> Path:
    """Where the pictures of a summary's file lie."""
    return summary.with_name(f"{summary.stem}.pictures.json")


def write_thumbnails(summary: DriftSummary, reference: Callable[[str], ImageArray | None], path: Path) -> None:
    """Write the pictures of every reference image that the latest window names.

    Args:
        summary: What names them.
        reference: A reference image by its id, or None.
        path: The summary's file.
    """
    names = {id_ for new in summary.latest.result.newest for id_ in new.nearest_reference}
    images = {id_: image for id_ in sorted(names) if (image := reference(id_)) is not None}
    found = Thumbnails(digest=summary.digest, jpeg_base64={id_: _small(image) for id_, image in images.items()})
    files.write_text(thumbnails_path(path), found.model_dump_json() + "\n")


def read_thumbnails(path: Path, digest: str) -> dict[str, str]:
    """JPEG as base64 by id; empty where there are none of that bundle's.

    Args:
        path: The summary's file.
        digest: Of the summary's bundle.

    Raises:
        DataError: damaged, or written by another version.
    """
    try:
        found = Thumbnails.model_validate_json(thumbnails_path(path).read_text())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise DataError(
            f"the drift check's pictures cannot be read: {type(error).__name__}",
            where=str(thumbnails_path(path)),
            expected="a file that `visionloop drift` wrote",
            action="run `visionloop drift` again",
        ) from None
    return found.jpeg_base64 if found.digest == digest else {}


def _small(image: ImageArray) -> str:
    picture = Image.fromarray(image)
    picture.thumbnail((_EDGE, _EDGE))
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=_QUALITY)
    return base64.b64encode(buffer.getvalue()).decode()
