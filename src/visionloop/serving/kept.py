"""Where kept images lie; apart from their writer, for those who only read them."""

from __future__ import annotations

from pathlib import Path


def image_file(folder: Path, sha256: str, suffix: str) -> Path:
    """The file of an image with that hash."""
    return folder / sha256[:2] / f"{sha256}{suffix}"


def kept_image(folder: Path, sha256: str) -> Path | None:
    """The image of that hash in a folder that an `ImageKeeper` fills, or None."""
    found = [image_file(folder, sha256, suffix) for suffix in (".png", ".jpg")]
    return next((path for path in found if path.exists()), None)
