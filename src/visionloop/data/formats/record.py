"""What a reader yields: one image of a source with its annotations as they were found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from visionloop.data.samples import Split


@dataclass(frozen=True, slots=True, kw_only=True)
class RawObject:
    """An annotation as found.

    Attributes:
        class_name: As written.
        box_xyxy: In pixels from the image's upper left corner, half open; not checked. None for a label
            of the whole image.
        flags: Such as `difficult`.
    """

    class_name: str
    box_xyxy: tuple[float, float, float, float] | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One image of a source.

    Attributes:
        member: Name of the image inside the source.
        read: Gives the file's bytes; valid only while the source is being read.
        split: Official split, or None.
        objects: In the file's order.
        annotation: Name of the annotation file; the image's own where the folder is the label.
        stated_size: Width and height that the annotation states, or None.
    """

    member: str
    read: Callable[[], bytes]
    split: Split | None
    objects: tuple[RawObject, ...]
    annotation: str
    stated_size: tuple[int, int] | None = None
