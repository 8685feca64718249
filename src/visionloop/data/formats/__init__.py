"""Readers of other people's layouts. Each yields `Record`s in a fixed order and reports what does not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from visionloop.data.findings import Finding
from visionloop.data.formats import folder, voc
from visionloop.data.formats.members import open_members
from visionloop.data.formats.record import Record
from visionloop.data.settings import SourceSettings

_READERS: dict[str, Callable[..., Iterator[Record | Finding]]] = {"folder": folder.read, "voc": voc.read}


def read_source(settings: SourceSettings, root: Path) -> Iterator[Record | Finding]:
    """Records of a source, and findings about what is no record, in a fixed order.

    Args:
        settings: Kind and path.
        root: Folder that a relative path starts from.

    Raises:
        DataError: the path does not exist, is no folder or archive, or has not the layout of its kind.
    """
    with open_members(root / settings.path) as members:
        yield from _READERS[settings.kind](members, settings)
