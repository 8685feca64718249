"""Labelled images that were gathered after a source was made, kept beside it; `prepare` reads both as one.

Layout of the folder::

    images/<sha256>.png   the image as the service kept it; named by the hash of the bytes that were sent
    labels.jsonl          one `LabelledImage` a line, in order of hash; what it does not name is not there
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError

from visionloop.core import files
from visionloop.core.errors import DataError
from visionloop.core.settings import Settings
from visionloop.data.formats.members import open_members
from visionloop.data.formats.source import RawObject, Record, Source
from visionloop.data.samples import Split
from visionloop.data.settings import SplitSettings
from visionloop.data.splits import position

LABELS = "labels.jsonl"
"""The table; written last, so that a folder without it is empty."""

Part = Literal["train", "val", "recent"]
"""What an image is for; `recent` is the test set that grows beside the frozen one."""

_MAX_BYTES = 1 << 50


class TrueObject(Settings):
    """One thing that is in the image."""

    name: str = Field(min_length=1)
    """Class."""
    box_xyxy: tuple[float, float, float, float] | None = None
    """Left, top, right, bottom in pixels of the upright image; None labels the whole image."""


class LabelledImage(Settings):
    """An image and what people say is in it."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the bytes that were sent; the image's identity."""
    file: str
    """Where it lies, relative to the folder."""
    width: int = Field(ge=1)
    """Pixels of the upright image."""
    height: int = Field(ge=1)
    """Pixels of the upright image."""
    part: Part
    """Assigned once by the hash, then kept whatever the shares become."""
    objects: tuple[TrueObject, ...]
    """Empty for an image with nothing in it."""
    judged_at: datetime
    """When the label was given, with a time zone."""
    judged_by: tuple[str, ...]
    """Keys of those who gave or confirmed it; empty text for somebody without a key."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """What lies in an overlay's folder.

    Attributes:
        root: The folder; it need not exist.
        images: By hash, in its order.
    """

    root: Path
    images: dict[str, LabelledImage]

    @classmethod
    def open(cls, root: Path) -> Self:
        """Read a folder; empty where there is none.

        Raises:
            DataError: the table is damaged.
        """
        try:
            text = (root / LABELS).read_text(encoding="utf-8")
        except FileNotFoundError:
            return cls(root, {})
        except (OSError, UnicodeDecodeError) as error:
            raise _damaged(root, type(error).__name__, LABELS) from None
        images: dict[str, LabelledImage] = {}
        for number, line in enumerate(text.splitlines(), 1):
            try:
                image = LabelledImage.model_validate_json(line)
            except ValidationError as error:
                first = error.errors()[0]
                what = f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}"
                raise _damaged(root, what, f"{LABELS}, line {number}") from None
            images[image.sha256] = image
        return cls(root, images)

    @property
    def digest(self) -> str:
        """Hex SHA-256 of all that is said of all images; names the overlay's version."""
        return files.sha256_bytes(_table(self.images.values()).encode())

    def counts(self) -> dict[str, int]:
        """Images by part."""
        parts: dict[str, int] = {"train": 0, "val": 0, "recent": 0}
        for image in self.images.values():
            parts[image.part] += 1
        return parts


def write_overlay(root: Path, images: Iterable[LabelledImage], read: Callable[[LabelledImage], bytes]) -> Overlay:
    """Make a folder hold exactly these images.

    Interrupted at any moment it holds the old version or the new: images come first, the table by a rename, and what
    neither names is removed last.

    Args:
        root: The folder.
        images: Distinct by hash.
        read: The bytes of an image that the folder does not have yet.
    """
    wanted = {image.sha256: image for image in sorted(images, key=lambda image: image.sha256)}
    for image in wanted.values():
        target = root / image.file
        if not target.exists():
            files.write_bytes(target, read(image))
    files.write_text(root / LABELS, _table(wanted.values()))
    named = {image.file for image in wanted.values()}
    for path in sorted((root / "images").glob("*")):
        if f"images/{path.name}" not in named:
            path.unlink()
    return Overlay(root, wanted)


def part_of(sha256: str, split: SplitSettings, recent_share: float) -> Part:
    """What an image is for, by its hash alone: the same at every time and on every machine.

    Args:
        sha256: The image's identity.
        split: Seed, and the share for validation.
        recent_share: Share, in (0, 1), that tests and is never learned from.
    """
    # Another line than the source's own: an image that comes in both ways must not be drawn twice alike.
    where = position(f"feedback:{sha256}", split.seed)
    if where < recent_share:
        return "recent"
    return "val" if where < recent_share + (1 - recent_share) * split.val_fraction else "train"


class OverlaySource(Source):
    """An overlay's images of some parts as records; `recent` ones are test images."""

    def __init__(self, overlay: Overlay, parts: Sequence[Part]) -> None:
        super().__init__(open_members(overlay.root, max_unpacked_bytes=_MAX_BYTES))
        self._images = [image for image in overlay.images.values() if image.part in parts]
        self.read(LABELS)

    def __len__(self) -> int:
        return len(self._images)

    def records(self) -> Iterator[Record]:
        """In order of hash."""
        for image in self._images:
            split: Split = "test" if image.part == "recent" else image.part
            yield Record(
                member=image.file,
                key=f"feedback-{image.sha256[:20]}",
                annotation=LABELS,
                split=split,
                objects=tuple(
                    RawObject(name=item.name, corners=item.box_xyxy, box_xyxy=item.box_xyxy, record=f"object {index}")
                    for index, item in enumerate(image.objects)
                ),
                declared_size=(image.width, image.height),
            )


def identity(member: str) -> str:
    """The hash of what was sent, of an image's file name in an overlay."""
    return Path(member).stem


def _table(images: Iterable[LabelledImage]) -> str:
    return "".join(image.model_dump_json() + "\n" for image in images)


def _damaged(root: Path, what: str, where: str) -> DataError:
    return DataError(
        f"the labels from feedback are damaged ({what})",
        where=f"{root}: {where}",
        expected="the lines that `visionloop retrain` writes",
        action="bring the folder back (`dvc checkout data.dvc` if DVC has it), or remove it to gather it anew",
    )
